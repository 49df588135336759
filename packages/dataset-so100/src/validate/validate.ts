import { chooseEpisodes, readListedRecording, type Recording } from '../read/recording.ts';
import { EpisodeTables } from '../read/episode-tables.ts';
import { locateDataset, type SourceOptions } from '../read/source.ts';
import { withoutDoubledEpisodes, type EpisodeRecord } from '../format/episodes.ts';
import type { TableReader } from '../format/table-reader.ts';
import { TableThread } from '../format/table-thread.ts';
import { createVideoDecoder, type VideoOptions } from '../video/choose-decoder.ts';
import { checkCollection } from './check-collection.ts';
import { checkImages, checkPictures } from './check-images.ts';
import { checkCounts, checkListing, checkTaskTable, checkUnusedFiles } from './check-metadata.ts';
import { checkPairing } from './check-pairing.ts';
import { checkDuplicates, checkRows } from './check-rows.ts';
import { checkIndex } from './check-schema.ts';
import { checkStatistics } from './check-statistics.ts';
import { checkVideoFiles } from './check-videos.ts';
import { checkMovement, withBlur } from './check-movement.ts';
import { Findings, type Finding, type FindingCounts } from './findings.ts';
import { Sharpness } from '../motion/sharpness.ts';
import type { EpisodeScore } from '../motion/score-episodes.ts';
import type { UnitConvention } from '../units/infer-units.ts';
import { DEFAULT_SAMPLES } from './image-sequence.ts';

/** How thoroughly to check. */
export interface ValidateOptions extends SourceOptions {
  /** Frames decoded of every episode and camera, evenly spread; default 5, `Infinity` for all, 0 for none. */
  readonly samples?: number;
  readonly video?: VideoOptions;
  /** Whether to check how episodes move, beside whether they can be read; default false. */
  readonly motion?: boolean;
  /** Units of all joints, where they cannot be inferred. */
  readonly units?: UnitConvention;
  /** Sentences about task texts that the policy to be trained does not read whole; without, long ones are told by their words. */
  readonly describeTasks?: (texts: readonly string[]) => readonly string[];
  /** Called now and then while the check goes on. */
  readonly onCheck?: (progress: CheckProgress) => void;
}

/** How far a check has come. */
export interface CheckProgress {
  readonly phase: 'rows' | 'videos' | 'images';
  /** Episodes done, and in all. */
  readonly done: number;
  readonly total: number;
}

/** What a check of a dataset found. */
export interface ValidationReport {
  readonly uri: string;
  /** Whether the dataset can be used as it is: there is no finding of severity `error`. */
  readonly ok: boolean;
  readonly findings: readonly Finding[];
  /** Its cameras; `null` where the metadata cannot be read. */
  readonly cameras: readonly string[] | null;
  /** How often each was found: `findings` lists the first 50 of each severity and code. */
  readonly counts: FindingCounts;
  /** Recorded episode number → hex hash of its states and actions, of the episodes that can be read. */
  readonly contents: Readonly<Record<number, string>>;
  /** How every episode that can be read moves; empty where that was not asked for. */
  readonly scores: readonly EpisodeScore[];
  /** How much was looked at. */
  readonly checked: {
    readonly episodes: number;
    readonly frames: number;
    readonly videoFiles: number;
    readonly imagesDecoded: number;
  };
}

/**
 * Checks a dataset: structure, counts, rows, timestamps, tasks, statistics, videos against rows, images. Reads
 * everything and changes nothing. Goes on after an error, so that one report lists them all.
 *
 * @throws DatasetError only for an address that cannot be understood; damage is reported, not thrown
 */
export async function validateDataset(uri: string, options: ValidateOptions = {}): Promise<ValidationReport> {
  return await TableThread.use((tables) => validate(uri, options, tables));
}

async function validate(uri: string, options: ValidateOptions, tables: TableReader): Promise<ValidationReport> {
  const source = await locateDataset(uri, options);
  const findings = new Findings();
  const checked = { episodes: 0, frames: 0, videoFiles: 0, imagesDecoded: 0 };
  let recording: Recording;
  let episodes: readonly EpisodeRecord[];
  try {
    const listed = await readListedRecording(source.root, tables);
    recording = { ...listed, episodes: withoutDoubledEpisodes(listed.episodes) };
    checkListing(listed, recording, findings);
    checkCounts(recording, findings);
    checkTaskTable(recording, findings, options.describeTasks);
    episodes = chooseEpisodes(recording, source.episodes);
  } catch (error) {
    findings.addError(error);
    return { uri, ok: false, findings: findings.list, cameras: null, counts: findings.counts, contents: {}, scores: [], checked };
  }
  await source.fetch(episodes, recording.info);
  const { signal, samples = DEFAULT_SAMPLES } = options;
  const facts = await checkRows(recording, episodes, new EpisodeTables(recording, tables, source.fetchData), findings, options);
  checked.episodes = facts.length;
  checked.frames = facts.reduce((sum, { episode }) => sum + episode.length, 0);
  checkDuplicates(facts, findings);
  checkIndex(recording, facts, findings);
  await checkStatistics(recording, facts, tables, findings);
  const motion = options.motion === true ? checkMovement(recording, facts, options.units ?? source.units, findings) : [];
  if (options.motion === true) checkCollection(recording, facts, findings);
  options.onCheck?.({ phase: 'videos', done: 0, total: episodes.length });
  const videos = await checkVideoFiles(recording, episodes, findings, signal);
  checked.videoFiles = videos.size;
  const times = checkPairing(recording, facts, videos, source.lookup, findings);
  await checkUnusedFiles(recording, recording.episodes, facts.map(({ dataFile }) => dataFile), findings);
  const actions = new Map(facts.map(({ episode, content }) => [episode.episodeIndex, content.action]));
  const isMoving = (episode: number, position: number): boolean => {
    const [values, size] = [actions.get(episode), recording.info.action.names.length];
    if (values === undefined) return false;
    for (let i = position * size; i < (position + 1) * size; i++) if (values[i] !== values[i - size]) return true;
    return false;
  };
  const sharpness = options.motion === true ? new Sharpness() : null;
  if (videos.size > 0 && samples > 0) {
    const decoder = await createVideoDecoder(
      options.video,
      [...new Set([...videos.values()].map(({ summary }) => summary.codec))],
    );
    try {
      checked.imagesDecoded = await checkImages({ episodes, videos, times, fps: recording.info.fps, isMoving }, decoder, samples, findings, options, sharpness);
    } finally {
      await decoder.close();
    }
  }
  if (samples > 0) checked.imagesDecoded += await checkPictures(recording, facts, isMoving, samples, findings, options, sharpness);
  const scores = sharpness === null ? motion : withBlur(motion, sharpness, findings);
  const contents = Object.fromEntries(facts.map(({ episode, hash }) => [episode.episodeIndex, hash]));
  const cameras = recording.info.cameras.map(({ key }) => key);
  return { uri, ok: !findings.hasErrors, findings: findings.list, cameras, counts: findings.counts, contents, scores, checked };
}
