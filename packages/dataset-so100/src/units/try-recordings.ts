import type { RobotDatasetInfo } from '@zk0/core';
import { openDataset, requireCameras, type OpenOptions } from '../read/open.ts';
import { KNOWN_CONFIDENCE } from './infer-units.ts';
import { alignToTarget, readAlignmentTarget } from './target-file.ts';

/** What a policy has to say of recordings before it trains on them. */
export interface RecordingJudge {
  /** Its checkpoint's folder. */
  readonly directory: string;
  /** Throws where sizes or cameras are not those that it takes. */
  checkRecordings(recordings: Pick<RobotDatasetInfo, 'name' | 'stateNames' | 'actionNames' | 'cameras'>): void;
  /** Sentences about task texts that it does not read whole. */
  describeTasks(tasks: readonly string[]): readonly string[];
}

/** What was found, in words. */
export interface TriedRecordings {
  readonly summary: string;
  /** What somebody should know who uses them. */
  readonly notes: readonly string[];
}

/**
 * Tries recordings as a run would use them: opens them, decodes the first and the last frame of every camera, and compares cameras,
 * sizes, joints, units and task texts with those of a policy.
 *
 * @throws DatasetError, or what the policy throws, for the first thing that would stop a run
 */
export async function tryRecordings(uri: string, options: OpenOptions, judge?: RecordingJudge): Promise<TriedRecordings> {
  const dataset = await openDataset(uri, options);
  try {
    const { info } = dataset;
    requireCameras(info);
    judge?.checkRecordings(info);
    const target = judge === undefined ? null : await readAlignmentTarget(judge.directory);
    const notes = target === null ? [] : [...alignToTarget(dataset, target, 'the policy').notes];
    notes.push(...(judge?.describeTasks(info.tasks) ?? []));
    const keys = info.cameras.map(({ key }) => key);
    for (const frame of [0, info.frameCount - 1]) await dataset.images(frame, keys);
    const cameras = info.cameras.map(({ key, recordedAs }) => (recordedAs === undefined ? key : `${recordedAs} as ${key}`));
    const { units, sure } = unitsOfAll(info);
    if (sure < KNOWN_CONFIDENCE) notes.push(`its units are likely ${units} (${Math.round(sure * 100)} % sure): a run takes them when they are stated with --units`);
    const summary = `${info.episodes.length} episodes, ${info.frameCount} frames, cameras ${cameras.join(', ')}, joints in ${units}`;
    return { summary, notes };
  } finally {
    await dataset.close();
  }
}

function unitsOfAll({ joints }: RobotDatasetInfo): { readonly units: string; readonly sure: number } {
  const all = [...(joints?.state ?? []), ...(joints?.action ?? [])];
  return { units: [...new Set(all.map(({ unit }) => unit))].join(' and ') || 'unknown units', sure: Math.min(1, ...all.map(({ confidence }) => confidence)) };
}
