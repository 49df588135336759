import { describeIssue } from '@zk0/core';
import { z } from 'zod';
import { DatasetError } from '../errors.ts';
import { MAX_EPISODES, MAX_FRAMES, MAX_TASK_LENGTH } from '../limits.ts';
import type { DatasetInfo } from './info.ts';
import { expandTemplate, type DatasetFolder } from './path-template.ts';
import type { TableReader, TableRow } from './table-reader.ts';
import { readJsonLines } from './text-files.ts';
import { walkFiles } from './walk-files.ts';

/** Where an episode's frames of one camera are. */
export interface VideoSpan {
  /** Path inside the dataset. */
  readonly file: string;
  /** Seconds into the file at which the episode begins; 0 where a file holds one episode. */
  readonly fromTimestamp: number;
  /** Where it ends; null where the metadata does not say. */
  readonly toTimestamp: number | null;
}

/** One recorded episode, as the metadata describes it. */
export interface EpisodeRecord {
  readonly episodeIndex: number;
  /** Frames. */
  readonly length: number;
  /** Task texts listed for it; normally one. */
  readonly tasks: readonly string[];
  /** Path of the parquet file that holds its rows, inside the dataset. */
  readonly dataFile: string;
  /** First row in the whole dataset and the one after the last, as `meta/episodes` claims; rows are found without it. */
  readonly indexSpan?: readonly [number, number];
  /** One span per camera of kind `video`. */
  readonly videos: ReadonlyMap<string, VideoSpan>;
}

const index = z.union([z.number().int(), z.bigint().transform(Number)]).pipe(z.number().int().min(0).max(2 ** 31));
const episodeSchema = z.looseObject({
  episode_index: index.pipe(z.number().max(MAX_EPISODES)),
  length: index.pipe(z.number().max(MAX_FRAMES)),
  tasks: z.array(z.string().max(MAX_TASK_LENGTH)).max(1000).nullish(),
});

/**
 * Reads the list of episodes, of any format version, in the order of their numbers, those listed twice twice.
 *
 * @throws DatasetError naming file and row
 */
export async function readEpisodes(
  folder: DatasetFolder,
  info: DatasetInfo,
  tables: TableReader,
): Promise<readonly EpisodeRecord[]> {
  const episodes = info.version === 'v3.0' ? await readV3(folder, info, tables) : await readV2(folder, info);
  return [...episodes].sort((a, b) => a.episodeIndex - b.episodeIndex);
}

/**
 * Each episode once: the first that is listed under its number.
 *
 * @param episodes ascending, as {@link readEpisodes} gives them
 */
export function withoutDoubledEpisodes(episodes: readonly EpisodeRecord[]): readonly EpisodeRecord[] {
  return episodes.filter(({ episodeIndex }, i) => i === 0 || episodeIndex !== episodes[i - 1]!.episodeIndex);
}

/** @throws DatasetError `DATASET_METADATA` where two episodes have one number */
export function assertNumberedOnce(root: string, episodes: readonly EpisodeRecord[]): void {
  const doubled = episodes.find(({ episodeIndex }, i) => i > 0 && episodeIndex === episodes[i - 1]!.episodeIndex);
  if (doubled === undefined) return;
  throw new DatasetError('DATASET_METADATA', `${root}: episode ${doubled.episodeIndex} is listed twice in meta/`, {
    episode: doubled.episodeIndex,
    hint: 'Repair the dataset with `zk0-client dataset validate URI --fix DIR`.',
  });
}

async function readV2(folder: DatasetFolder, info: DatasetInfo): Promise<EpisodeRecord[]> {
  const file = await folder.resolve('meta/episodes.jsonl');
  const rows = await readJsonLines(file, MAX_EPISODES);
  const infoFile = folder.join('meta/info.json');
  return rows.map((row, line) => {
    const { episode_index: episodeIndex, length, tasks } = parseRow(episodeSchema, row, file, line);
    const chunk = Math.floor(episodeIndex / info.chunksSize);
    const values = { episode_chunk: chunk, chunk_index: chunk, episode_index: episodeIndex };
    return {
      episodeIndex,
      length,
      tasks: tasks ?? [],
      dataFile: expandTemplate(info.dataPath, values, infoFile),
      videos: videoSpans(info, (key) => ({
        file: expandTemplate(videoTemplate(info), { ...values, video_key: key }, infoFile),
        fromTimestamp: 0,
        toTimestamp: null,
      })),
    };
  });
}

async function readV3(folder: DatasetFolder, info: DatasetInfo, tables: TableReader): Promise<EpisodeRecord[]> {
  const episodes: EpisodeRecord[] = [];
  const infoFile = folder.join('meta/info.json');
  for (const relative of await listEpisodeFiles(folder)) {
    const file = await folder.resolve(relative);
    const rows = await tables.rows(file, { required: v3Columns(info), optional: ['tasks', ...INDEX_SPAN, ...endColumns(info)] }, MAX_EPISODES);
    rows.forEach((row, line) => episodes.push(parseV3(row, info, file, line, infoFile)));
    if (episodes.length > MAX_EPISODES) {
      throw new DatasetError('DATASET_LIMIT', `${folder.root} lists more than ${MAX_EPISODES} episodes`, { file });
    }
  }
  return episodes;
}

const INDEX_SPAN = ['dataset_from_index', 'dataset_to_index'] as const;

function parseV3(row: TableRow, info: DatasetInfo, file: string, line: number, infoFile: string): EpisodeRecord {
  const { episode_index: episodeIndex, length, tasks } = parseRow(episodeSchema, row, file, line);
  const integer = (column: string): number => parseRow(z.looseObject({ [column]: index }), row, file, line)[column]!;
  const [from, to] = INDEX_SPAN.map((column) => Number(row[column]));
  return {
    episodeIndex,
    length,
    tasks: tasks ?? [],
    ...(Number.isSafeInteger(from) && Number.isSafeInteger(to) ? { indexSpan: [from!, to!] as const } : {}),
    dataFile: expandTemplate(
      info.dataPath,
      { chunk_index: integer('data/chunk_index'), file_index: integer('data/file_index') },
      infoFile,
    ),
    videos: videoSpans(info, (key) => {
      const column = `videos/${key}/from_timestamp`;
      const from = parseRow(z.looseObject({ [column]: z.number().min(0).max(1e9) }), row, file, line)[column]!;
      const to = row[`videos/${key}/to_timestamp`];
      return {
        file: expandTemplate(
          videoTemplate(info),
          { video_key: key, chunk_index: integer(`videos/${key}/chunk_index`), file_index: integer(`videos/${key}/file_index`) },
          infoFile,
        ),
        fromTimestamp: from,
        toTimestamp: typeof to === 'number' && to > from ? to : null,
      };
    }),
  };
}

function v3Columns(info: DatasetInfo): string[] {
  const videos = info.cameras.filter((camera) => camera.kind === 'video');
  return [
    ...['episode_index', 'length', 'data/chunk_index', 'data/file_index'],
    ...videos.flatMap(({ key }) => ['chunk_index', 'file_index', 'from_timestamp'].map((name) => `videos/${key}/${name}`)),
  ];
}

function endColumns(info: DatasetInfo): string[] {
  return info.cameras.flatMap(({ key, kind }) => (kind === 'video' ? [`videos/${key}/to_timestamp`] : []));
}

/** `meta/episodes/chunk-CCC/file-FFF.parquet`, in order. */
export async function listEpisodeFiles(folder: DatasetFolder): Promise<string[]> {
  const root = await folder.resolve('meta/episodes', { kind: 'folder' });
  const files: string[] = [];
  for await (const file of walkFiles(root)) {
    if (!/^chunk-\d+\/file-\d+\.parquet$/.test(file)) continue;
    files.push(file);
    if (files.length > MAX_EPISODES) throw new DatasetError('DATASET_LIMIT', `${root} holds more than ${MAX_EPISODES} files`, { file: root });
  }
  if (files.length === 0) {
    throw new DatasetError('DATASET_FILE_MISSING', `${root} holds no chunk-000/file-000.parquet`, {
      file: root,
      hint: 'Copy or download the dataset again, complete.',
    });
  }
  return files.sort().map((entry) => `meta/episodes/${entry}`);
}

function videoSpans(info: DatasetInfo, spanOf: (key: string) => VideoSpan): Map<string, VideoSpan> {
  const spans = new Map<string, VideoSpan>();
  for (const camera of info.cameras) if (camera.kind === 'video') spans.set(camera.key, spanOf(camera.key));
  return spans;
}

function videoTemplate(info: DatasetInfo): string {
  if (info.videoPath === null) {
    throw new DatasetError('DATASET_METADATA', 'meta/info.json lists cameras of dtype video but no video_path');
  }
  return info.videoPath;
}

/** Checks one row of a metadata table. @throws DatasetError `DATASET_METADATA` naming file, row and field */
export function parseRow<T extends z.ZodType>(schema: T, row: unknown, file: string, line: number): z.infer<T> {
  const parsed = schema.safeParse(row);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new DatasetError(
    'DATASET_METADATA',
    `${file} row ${line}: "${issue?.path.join('.') ?? ''}" is malformed: ${issue === undefined ? 'unknown reason' : describeIssue(issue)}`,
    { file, row: line, hint: 'Copy or download the dataset again.' },
  );
}
