import { CancelledError, type ActionChunk, type RgbImage, type RobotDataset } from '@zk0/core';
import { DatasetError } from '../errors.ts';

/** Everything about one frame that training needs. */
export interface Sample {
  readonly frame: number;
  readonly state: Float32Array;
  readonly chunk: ActionChunk;
  readonly task: string;
  /** In the order of `cameraKeys`. */
  readonly images: readonly RgbImage[];
}

/** How to load samples. */
export interface LoadOptions {
  readonly cameraKeys: readonly string[];
  /** Actions of each sample. */
  readonly chunkLength: number;
  /** Samples decoded ahead of the consumer, and so held in memory; default 8. */
  readonly prefetch?: number;
  /** The images of a sample are gone when the next one is asked for: their memory is used again. Default false. */
  readonly reuseImages?: boolean;
  /** Frames that may fail to decode, and are skipped, before loading fails; default 0. */
  readonly corruptBudget?: number;
  /** Told of every frame that was skipped. */
  readonly onCorrupt?: (frame: number, error: DatasetError) => void;
  readonly signal?: AbortSignal;
}

/**
 * Loads samples in the order of `frames`, decoding ahead while the consumer works. Never more than `prefetch` samples
 * are under way or waiting, so a slow consumer slows decoding down. Stop by leaving the loop or by `signal`.
 *
 * @param frames the order, e.g. from a {@link FrameOrder}; may be endless
 * @throws DatasetError `DATASET_CORRUPT_BUDGET` when more frames are corrupt than allowed, naming the last
 * @throws CancelledError when `signal` is aborted
 */
export async function* loadSamples(
  dataset: RobotDataset,
  frames: Iterable<number>,
  options: LoadOptions,
): AsyncGenerator<Sample, void, undefined> {
  const { prefetch = 8, reuseImages = false, corruptBudget = 0, onCorrupt, signal } = options;
  if (!Number.isInteger(prefetch) || prefetch < 1) throw new RangeError(`prefetch must be at least 1, not ${prefetch}`);
  if (!Number.isInteger(corruptBudget) || corruptBudget < 0) {
    throw new RangeError(`corruptBudget must be a number of frames, not ${corruptBudget}`);
  }
  const order = frames[Symbol.iterator]();
  const spare: (readonly RgbImage[])[] = [];
  const pending: Promise<Sample | Corrupt>[] = [];
  let corrupt = 0;
  try {
    for (;;) {
      while (pending.length < prefetch) {
        const next = order.next();
        if (next.done === true) break;
        const loading = loadSample(dataset, next.value, options, spare.pop());
        // A failure counts when its turn comes; until then it must not end the process as unhandled.
        loading.catch(() => undefined);
        pending.push(loading);
      }
      const first = pending.shift();
      if (first === undefined) return;
      const sample = await cancellable(first, signal);
      if (!('error' in sample)) {
        yield sample;
        if (reuseImages) spare.push(sample.images);
        continue;
      }
      corrupt++;
      onCorrupt?.(sample.frame, sample.error);
      if (corrupt > corruptBudget) {
        const { file } = sample.error;
        throw new DatasetError(
          'DATASET_CORRUPT_BUDGET',
          `${corrupt} frames could not be decoded, ${corruptBudget} were allowed for; the last: ${sample.error.message}`,
          { cause: sample.error, hint: 'Check the dataset with `zk0-client dataset validate`.', ...(file === undefined ? {} : { file }) },
        );
      }
    }
  } finally {
    order.return?.();
    await Promise.allSettled(pending);
  }
}

interface Corrupt {
  readonly frame: number;
  readonly error: DatasetError;
}

async function loadSample(
  dataset: RobotDataset,
  frame: number,
  options: LoadOptions,
  reuse: readonly RgbImage[] | undefined,
): Promise<Sample | Corrupt> {
  try {
    const images = await dataset.images(frame, options.cameraKeys, reuse);
    return {
      frame,
      state: dataset.state(frame),
      chunk: dataset.actionChunk(frame, options.chunkLength),
      task: dataset.task(frame),
      images,
    };
  } catch (error) {
    if (error instanceof DatasetError && error.code === 'DATASET_FRAME') return { frame, error };
    throw error;
  }
}

async function cancellable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await work;
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => {
      reject(new CancelledError('Loading samples', { cause: signal.reason }));
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
