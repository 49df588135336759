import type { JointConvention } from '@zk0/core';
import { DatasetError } from '../errors.ts';
import type { FormatVersion } from '../format/info.ts';
import { TableThread } from '../format/table-thread.ts';
import { chooseSound } from '../read/choose-sound.ts';
import { readRecording } from '../read/recording.ts';
import { EpisodeTables } from '../read/episode-tables.ts';
import { readRows, type DatasetRows } from '../read/rows.ts';
import { locateDataset, type SourceOptions } from '../read/source.ts';
import { checkVideo, neededVideos } from '../read/videos.ts';
import { timestampDrift, type TimestampDrift } from '../read/timestamp-drift.ts';
import { chooseBackend } from '../video/choose-decoder.ts';
import type { VideoBackend } from '../video/decoder.ts';
import type { UnitConvention } from '../units/infer-units.ts';
import { leaderOffsets, type LeaderOffset } from '../units/leader-offset.ts';
import { unitsOf } from '../units/units-of.ts';
import { mapQuantiles } from '../stats/quantiles.ts';
import { RunningStatistics } from '../stats/running-statistics.ts';

/** One value of a state or action vector, over all frames; quantiles as LeRobot's `RunningQuantileStats` has them. */
export interface JointSummary {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly std: number;
  readonly q01: number;
  readonly q10: number;
  readonly q50: number;
  readonly q90: number;
  readonly q99: number;
  /** What the values mean, and how sure that is. */
  readonly convention: JointConvention;
}

/** What is in a dataset, for people. */
export interface DatasetInspection {
  readonly name: string;
  readonly uri: string;
  readonly root: string;
  readonly version: FormatVersion;
  readonly robotType: string;
  readonly fps: number;
  readonly episodes: number;
  readonly frames: number;
  /** Seconds. */
  readonly duration: number;
  /** Frames of an episode. */
  readonly episodeLength: { readonly min: number; readonly median: number; readonly max: number };
  readonly tasks: readonly { readonly text: string; readonly episodes: number; readonly frames: number }[];
  /** `codec` is that of an MP4's sample description, `picture` for one that keeps pictures in rows, null where no video could be read. */
  readonly cameras: readonly {
    readonly key: string;
    readonly height: number;
    readonly width: number;
    readonly codec: string | null;
  }[];
  /** What decodes its videos here, where that is, and why it is used; null where there are none, or nothing can. */
  readonly decoding: { readonly backend: VideoBackend; readonly where: string; readonly why: string } | null;
  readonly state: readonly JointSummary[];
  readonly action: readonly JointSummary[];
  /** Why the units are taken to be what they are. */
  readonly unitsWhy: { readonly state: string; readonly action: string };
  /** Joints whose leader and follower are calibrated apart. */
  readonly leaderOffsets: readonly LeaderOffset[];
  readonly drift: TimestampDrift;
  /** What is wrong with it or was unusual; `validateDataset` finds more. */
  readonly problems: readonly string[];
}

/**
 * Tells what is in a dataset. Missing or damaged videos are told as problems; damaged rows or metadata are thrown.
 *
 * @throws DatasetError
 */
export async function inspectDataset(uri: string, options: SourceOptions & { readonly units?: UnitConvention } = {}): Promise<DatasetInspection> {
  const source = await locateDataset(uri, options);
  const { root, name } = source;
  const { recording, episodes, rows } = await TableThread.use(async (tables) => {
    const found = await readRecording(root, tables);
    const chosen = await chooseSound(found, source, tables);
    await source.fetch(chosen, found.info);
    return { recording: found, episodes: chosen, rows: await readRows(found, chosen, new EpisodeTables(found, tables, source.fetchData), options.signal) };
  });
  const { info } = recording;
  const problems = [...source.warnings, ...info.warnings, ...rows.warnings];
  const codecs = new Map<string, string>();
  for (const [file, need] of neededVideos(recording, episodes)) {
    try {
      codecs.set(need.camera, (await checkVideo(recording, file, need)).summary.codec);
    } catch (error) {
      if (!(error instanceof DatasetError)) throw error;
      problems.push(error.message);
    }
  }
  const decoding = await decodingOf([...new Set(codecs.values())], problems);
  const units = unitsOf(info, rows, options.units ?? source.units);
  const lengths = episodes.map((episode) => episode.length).sort((a, b) => a - b);
  return {
    name,
    uri,
    root,
    version: info.version,
    robotType: info.robotType,
    fps: info.fps,
    episodes: episodes.length,
    frames: rows.frameCount,
    duration: rows.frameCount / info.fps,
    episodeLength: { min: lengths[0]!, median: lengths[lengths.length >> 1]!, max: lengths.at(-1)! },
    tasks: taskCounts(rows),
    cameras: info.cameras.map(({ key, height, width, kind }) => {
      return { key, height, width, codec: kind === 'image' ? 'picture' : (codecs.get(key) ?? null) };
    }),
    decoding,
    state: summarise(info.state.names, rows.state, rows.offsets, units.joints.state),
    action: summarise(info.action.names, rows.action, rows.offsets, units.joints.action),
    unitsWhy: units.why,
    leaderOffsets: leaderOffsets(rows, { robotType: info.robotType, stateNames: info.state.names, actionNames: info.action.names, joints: units.joints }),
    drift: timestampDrift(rows, info.fps),
    problems,
  };
}

async function decodingOf(codecs: readonly string[], problems: string[]): Promise<DatasetInspection['decoding']> {
  if (codecs.length === 0) return null;
  try {
    const { backend, why, report } = await chooseBackend(codecs);
    return { backend, where: report.where, why };
  } catch (error) {
    if (!(error instanceof DatasetError)) throw error;
    problems.push(error.message);
    return null;
  }
}

function taskCounts(rows: DatasetRows): DatasetInspection['tasks'] {
  const counts = rows.taskTexts.map((text) => ({ text, episodes: 0, frames: 0 }));
  for (const task of rows.task) counts[task]!.frames++;
  for (let episode = 0; episode + 1 < rows.offsets.length; episode++) {
    const members = new Set(rows.task.subarray(rows.offsets[episode], rows.offsets[episode + 1]));
    for (const task of members) counts[task]!.episodes++;
  }
  return counts;
}

function summarise(names: readonly string[], values: Float32Array, offsets: readonly number[], conventions: readonly JointConvention[]): JointSummary[] {
  const running = new RunningStatistics(names.length);
  for (let episode = 0; episode + 1 < offsets.length; episode++) {
    running.update(values.subarray(offsets[episode]! * names.length, offsets[episode + 1]! * names.length));
  }
  const { moments, quantiles } = running.statistics();
  return names.map((name, i) => ({
    name,
    min: moments.min[i]!,
    max: moments.max[i]!,
    mean: moments.mean[i]!,
    std: Math.sqrt(moments.m2[i]! / moments.count),
    convention: conventions[i]!,
    ...mapQuantiles((quantile) => quantiles[quantile][i]!),
  }));
}
