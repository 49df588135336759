import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { DatasetError } from '../errors.ts';
import { assertNumberedOnce, readEpisodes, type EpisodeRecord } from '../format/episodes.ts';
import { parseInfo, type DatasetInfo } from '../format/info.ts';
import { assertLayout, refuseOldLayout } from '../format/layout-found.ts';
import { DatasetFolder } from '../format/path-template.ts';
import type { TableReader } from '../format/table-reader.ts';
import { TableThread } from '../format/table-thread.ts';
import { readTasks, type TaskTable } from '../format/tasks.ts';
import { parsePythonJson, readText } from '../format/text-files.ts';

/** A dataset's metadata: everything but rows and frames. */
export interface Recording {
  readonly folder: DatasetFolder;
  readonly info: DatasetInfo;
  /** Every episode recorded, by number. */
  readonly episodes: readonly EpisodeRecord[];
  readonly tasks: TaskTable;
}

/**
 * Reads the metadata of a LeRobot dataset folder.
 *
 * @param tables reads the parquet files; default a thread of this call's own
 * @throws DatasetError `DATASET_NOT_FOUND`, `DATASET_NOT_LEROBOT`, or what is wrong with its metadata
 */
export async function readRecording(root: string, tables?: TableReader): Promise<Recording> {
  if (tables === undefined) return await TableThread.use((thread) => readRecording(root, thread));
  const recording = await readListedRecording(root, tables);
  assertNumberedOnce(root, recording.episodes);
  return recording;
}

/** A folder's own name may hold what reads as a choice of episodes: `set?episodes=1`. */
async function hintForMissing(root: string): Promise<string> {
  const names = await readdir(path.dirname(root)).catch(() => []);
  const meant = names.find((name) => name.startsWith(`${path.basename(root)}?`));
  if (meant === undefined) return 'Check the path.';
  const address = pathToFileURL(path.join(path.dirname(root), meant)).href;
  return `There is ${JSON.stringify(meant)} beside it; where the ? belongs to the name, write ${address}.`;
}

/** As {@link readRecording}; an episode that is listed twice is there twice. */
export async function readListedRecording(root: string, tables: TableReader): Promise<Recording> {
  const found = await stat(root).catch(() => null);
  if (found === null) {
    throw new DatasetError('DATASET_NOT_FOUND', `There is nothing at ${root}`, { file: root, hint: await hintForMissing(root) });
  }
  const folder = found.isDirectory() ? await DatasetFolder.open(root) : null;
  const isDataset = folder !== null && (await stat(folder.join('meta/info.json')).catch(() => null)) !== null;
  if (!isDataset) {
    if (folder !== null) await refuseOldLayout(folder);
    const why = folder === null ? 'it is no folder' : 'it has no meta/info.json';
    throw new DatasetError('DATASET_NOT_LEROBOT', `${root} is no LeRobot dataset: ${why}`, {
      file: root,
      hint: 'Point at the folder that LeRobot recorded: the one with meta/, data/ and videos/ in it.',
    });
  }
  const infoFile = await folder.resolve('meta/info.json');
  const info = parseInfo(parsePythonJson(await readText(infoFile), infoFile), infoFile);
  await assertLayout(folder, info.version);
  const episodes = await readEpisodes(folder, info, tables);
  const tasks = await readTasks(folder, info, tables);
  return { folder, info, episodes, tasks };
}

/**
 * The records of the episodes chosen, by number; all of them for `null`.
 *
 * @throws DatasetError `DATASET_EPISODES` naming what is not there
 */
export function chooseEpisodes(recording: Recording, wanted: readonly number[] | null): readonly EpisodeRecord[] {
  if (recording.episodes.length === 0 || wanted?.length === 0) {
    throw new DatasetError('DATASET_EPISODES', `${recording.folder.root}: no episodes to read`, {
      hint: 'Record at least one episode, or choose some with ?episodes=….',
    });
  }
  if (wanted === null) return recording.episodes;
  const byNumber = new Map(recording.episodes.map((episode) => [episode.episodeIndex, episode]));
  return [...new Set(wanted)]
    .sort((a, b) => a - b)
    .map((number) => {
      const episode = byNumber.get(number);
      if (episode !== undefined) return episode;
      const { episodes } = recording;
      throw new DatasetError(
        'DATASET_EPISODES',
        `${recording.folder.root} has no episode ${number}; it has ${episodes.length}, from ` +
          `${episodes[0]!.episodeIndex} to ${episodes.at(-1)!.episodeIndex}`,
        { episode: number, hint: 'Choose others with ?episodes=….' },
      );
    });
}
