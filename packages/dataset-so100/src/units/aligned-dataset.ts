import { createHash } from 'node:crypto';
import { originsOf, type ActionChunk, type FeatureMoments, type RgbImage, type RobotDataset, type RobotDatasetInfo } from '@zk0/core';
import type { Alignment, VectorAlignment } from './align-recordings.ts';

/**
 * A dataset as a federation takes it: joints in its order, values in its units. Images and tasks are the same. Moments are those of
 * the values as given, exactly: all changes are of the form `a·x + b`.
 *
 * @param alignment as the server said it; null where nothing changes, and the dataset itself is given back
 */
export function alignedDataset(dataset: RobotDataset, alignment: Alignment | null): RobotDataset {
  return alignment === null ? dataset : new AlignedDataset(dataset, alignment);
}

class AlignedDataset implements RobotDataset {
  readonly info: RobotDatasetInfo;
  readonly #dataset: RobotDataset;
  readonly #alignment: Alignment;

  constructor(dataset: RobotDataset, alignment: Alignment) {
    const { info } = dataset;
    this.#dataset = dataset;
    this.#alignment = alignment;
    this.info = {
      ...info,
      contentHash: createHash('sha256').update(`zk0-aligned-1\0${info.contentHash}\0${JSON.stringify(alignment)}`).digest('hex'),
      origins: originsOf(info),
      stateNames: alignment.stateNames,
      actionNames: alignment.actionNames,
      joints: alignment.joints,
      moments: { state: alignedMoments(info.moments.state, alignment.state), action: alignedMoments(info.moments.action, alignment.action) },
    };
  }

  state(frame: number): Float32Array {
    return alignedRows(this.#dataset.state(frame), this.#alignment.state);
  }

  actionChunk(frame: number, length: number): ActionChunk {
    const { actions, isPad } = this.#dataset.actionChunk(frame, length);
    return { actions: alignedRows(actions, this.#alignment.action), isPad };
  }

  task(frame: number): string {
    return this.#dataset.task(frame);
  }

  images(frame: number, cameraKeys: readonly string[], reuse?: readonly RgbImage[]): Promise<readonly RgbImage[]> {
    return this.#dataset.images(frame, cameraKeys, reuse);
  }

  close(): Promise<void> {
    return this.#dataset.close();
  }
}

/** Rows of a vector, aligned; the array given is not changed. */
export function alignedRows(values: Float32Array, { order, scale, offset }: VectorAlignment): Float32Array {
  const size = order.length;
  const aligned = new Float32Array(values.length);
  for (let row = 0; row < values.length; row += size) {
    for (let i = 0; i < size; i++) aligned[row + i] = values[row + order[i]!]! * scale[i]! + offset[i]!;
  }
  return aligned;
}

/** A row as it was before {@link alignedRows}. */
export function unalignedRow(aligned: ArrayLike<number>, { order, scale, offset }: VectorAlignment): Float32Array {
  const row = new Float32Array(order.length);
  order.forEach((from, to) => (row[from] = (aligned[to]! - offset[to]!) / scale[to]!));
  return row;
}

/** Moments of aligned values. */
export function alignedMoments({ count, mean, m2, min, max }: FeatureMoments, { order, scale, offset }: VectorAlignment): FeatureMoments {
  const apply = (values: readonly number[]): number[] => order.map((from, to) => values[from]! * scale[to]! + offset[to]!);
  const [low, high] = [apply(min), apply(max)];
  return {
    count,
    mean: apply(mean),
    m2: order.map((from, to) => m2[from]! * scale[to]! ** 2),
    min: low.map((value, i) => Math.min(value, high[i]!)),
    max: low.map((value, i) => Math.max(value, high[i]!)),
  };
}
