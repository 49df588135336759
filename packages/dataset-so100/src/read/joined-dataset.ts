import { createHash } from 'node:crypto';
import { datasetProfile, originsOf, Zk0Error, type ActionChunk, type RgbImage, type RobotDataset, type RobotDatasetInfo } from '@zk0/core';
import { DatasetError } from '../errors.ts';
import { mergeMoments } from '../stats/moments.ts';
import { resampledDataset } from './resampled-dataset.ts';
import { parseDatasetUri } from './uri.ts';
import { alignedDataset } from '../units/aligned-dataset.ts';
import { alignRecordings } from '../units/align-recordings.ts';

/** One of several datasets that are read as one. */
export interface DatasetPart {
  readonly dataset: RobotDataset;
  /** How often each of its frames is in the joined index, a whole number; default what its address says, else 1. */
  readonly weight?: number;
}

/** How datasets are joined. */
export interface JoinOptions {
  /** Frames a second that all are brought to, see `resampledDataset`; default none: rates that differ are refused. */
  readonly fps?: number;
}

/** What was joined, and what was changed for it. */
export interface JoinedDatasets {
  readonly dataset: RobotDataset;
  /** In words, for people. */
  readonly notes: readonly string[];
}

const MAX_WEIGHT = 100;

/**
 * Reads several datasets of one arm as one: one index, one order, one statistic. Joints are brought into the order and units of the
 * recordings that have most frames. Cameras are those that all parts have, in their own sizes: a policy resizes every image.
 *
 * Weights repeat frames in the index; moments are those of the recordings, each frame once. A part's weight is what its address says
 * (`?weight=2`) where none is given.
 *
 * @throws DatasetError `DATASET_UNLIKE` where frame rates, joints, units or cameras keep them apart, naming the part and the reason.
 *   The parts stay the caller's to close then; afterwards the joined dataset closes them.
 */
export function joinDatasets(given: readonly DatasetPart[], { fps }: JoinOptions = {}): JoinedDatasets {
  const notes: string[] = [];
  const parts = given.map(({ dataset, weight = weightOf(dataset) }) => {
    const resampled = fps === undefined ? dataset : resampledDataset(dataset, fps);
    if (resampled !== dataset) notes.push(`${dataset.info.uri}: ${dataset.info.fps} frames a second taken down to ${fps!}, ${resampled.info.frameCount} of its ${dataset.info.frameCount} frames`);
    return { dataset: resampled, weight };
  });
  const [first] = parts;
  if (first === undefined) throw new DatasetError('DATASET_UNLIKE', 'There is no dataset to join');
  const wrong = parts.find(({ weight }) => !Number.isInteger(weight) || weight < 1 || weight > MAX_WEIGHT);
  if (wrong !== undefined) {
    throw new DatasetError('DATASET_UNLIKE', `${wrong.dataset.info.name} has a weight of ${wrong.weight}; it is a whole number from 1 to ${MAX_WEIGHT}`);
  }
  if (parts.length === 1 && first.weight === 1) return { dataset: first.dataset, notes };
  const { decisions } = alignRecordings(new Map(parts.map(({ dataset }, i) => [String(i), datasetProfile(dataset.info)])));
  const aligned = parts.map(({ dataset, weight }, i) => {
    const decision = decisions.get(String(i))!;
    const { uri } = dataset.info;
    if (decision.kind === 'refused') {
      throw new DatasetError('DATASET_UNLIKE', `${uri} cannot be read as one with the others: ${decision.reason}`, { hint: hintFor(parts, decision.hint) });
    }
    notes.push(...decision.notes.map((note) => `${uri}: ${note}`));
    return { dataset: alignedDataset(dataset, decision.alignment), weight };
  });
  const keys = first.dataset.info.cameras.map(({ key }) => key).filter((key) => parts.every(({ dataset }) => dataset.info.cameras.some((camera) => camera.key === key)));
  if (keys.length === 0 && parts.some(({ dataset }) => dataset.info.cameras.length > 0)) {
    const sides = parts.map(({ dataset: { info } }) => `${info.uri} has [${info.cameras.map(({ key }) => key).join(', ')}]`).join(', ');
    throw new DatasetError('DATASET_UNLIKE', `The datasets have no camera in common: ${sides}`, { hint: 'Give their cameras the same names with --rename.' });
  }
  for (const { dataset: { info } } of parts) {
    const left = info.cameras.filter(({ key }) => !keys.includes(key)).map(({ key }) => key);
    if (left.length > 0) notes.push(`${info.uri}: ${left.join(', ')} left out, which not all datasets have`);
  }
  return { dataset: new JoinedDataset(aligned, keys), notes };
}

/** What the address of a dataset says; 1 where it is none that is understood, as of datasets made in memory. */
function weightOf({ info }: RobotDataset): number {
  try {
    return parseDatasetUri(info.uri).weight ?? 1;
  } catch (error) {
    if (error instanceof Zk0Error) return 1;
    throw error;
  }
}

function hintFor(parts: readonly DatasetPart[], hint: string): string {
  const rates = parts.map(({ dataset }) => dataset.info.fps);
  const lowest = Math.min(...rates);
  return Math.max(...rates) / lowest > 1.01 ? `Bring all to one rate with --fps ${lowest}: of faster ones the frames nearest to it are taken.` : hint;
}

/** Where a frame of the joined index is. */
interface Place {
  readonly dataset: RobotDataset;
  readonly frame: number;
}

class JoinedDataset implements RobotDataset {
  readonly info: RobotDatasetInfo;
  readonly #parts: readonly Required<DatasetPart>[];
  /** First joined frame of each repeat of each part, ascending, and the part. */
  readonly #starts: readonly { readonly from: number; readonly part: number }[];

  constructor(parts: readonly Required<DatasetPart>[], cameraKeys: readonly string[]) {
    this.#parts = parts;
    const starts: { from: number; part: number }[] = [];
    const episodes: { episodeIndex: number; from: number; to: number }[] = [];
    let frameCount = 0;
    for (const [part, { dataset, weight }] of parts.entries()) {
      for (let repeat = 0; repeat < weight; repeat++) {
        starts.push({ from: frameCount, part });
        for (const { from, to } of dataset.info.episodes) episodes.push({ episodeIndex: episodes.length, from: frameCount + from, to: frameCount + to });
        frameCount += dataset.info.frameCount;
      }
    }
    this.#starts = starts;
    const [{ dataset: first }] = parts as [Required<DatasetPart>];
    const infos = parts.map(({ dataset }) => dataset.info);
    const identity = parts.map(({ dataset, weight }) => [dataset.info.contentHash, weight]);
    const { robotType, fps, stateNames, actionNames, cameras, joints } = first.info;
    this.info = {
      robotType,
      fps,
      stateNames,
      actionNames,
      ...(joints === undefined ? {} : { joints }),
      name: infos.map(({ name }) => name).join('+').slice(0, 200),
      uri: infos.map(({ uri }) => uri).join(' '),
      contentHash: createHash('sha256').update(`zk0-joined-1\0${JSON.stringify([identity, cameraKeys])}`).digest('hex'),
      frameCount,
      origins: starts.flatMap(({ from, part }) => originsOf(infos[part]!).map((origin) => ({ ...origin, from: from + origin.from }))),
      cameras: cameras.filter(({ key }) => cameraKeys.includes(key)),
      episodes,
      tasks: [...new Set(infos.flatMap(({ tasks }) => tasks))],
      moments: { state: mergeMoments(infos.map(({ moments }) => moments.state)), action: mergeMoments(infos.map(({ moments }) => moments.action)) },
    };
  }

  state(frame: number): Float32Array {
    const { dataset, frame: own } = this.#place(frame);
    return dataset.state(own);
  }

  actionChunk(frame: number, length: number): ActionChunk {
    const { dataset, frame: own } = this.#place(frame);
    return dataset.actionChunk(own, length);
  }

  task(frame: number): string {
    const { dataset, frame: own } = this.#place(frame);
    return dataset.task(own);
  }

  images(frame: number, cameraKeys: readonly string[], reuse?: readonly RgbImage[]): Promise<readonly RgbImage[]> {
    const { dataset, frame: own } = this.#place(frame);
    return dataset.images(own, cameraKeys, reuse);
  }

  async close(): Promise<void> {
    for (const { dataset } of this.#parts) await dataset.close();
  }

  #place(frame: number): Place {
    if (!Number.isInteger(frame) || frame < 0 || frame >= this.info.frameCount) {
      throw new RangeError(`${this.info.name} has frames 0 … ${this.info.frameCount - 1}, not ${frame}`);
    }
    let [low, high] = [0, this.#starts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#starts[middle]!.from <= frame) low = middle;
      else high = middle - 1;
    }
    const { from, part } = this.#starts[low]!;
    return { dataset: this.#parts[part]!.dataset, frame: frame - from };
  }
}
