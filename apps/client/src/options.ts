import { augmentSchema, InvalidArgumentError, loraOf, runConfigSchema, type AugmentConfig } from '@zk0/core';
import type { CacheMode, LoraSettings } from '@zk0/policy-smolvla';

const CACHE_MODES: readonly CacheMode[] = ['auto', 'prefix', 'vision', 'off'];

/** @throws InvalidArgumentError for anything but a {@link CacheMode}. */
export function parseCacheMode(text: string): CacheMode {
  const mode = CACHE_MODES.find((known) => known === text);
  if (mode === undefined) {
    throw new InvalidArgumentError(`--cache ${text} is not known`, { hint: `Choose one of ${CACHE_MODES.join(', ')}.` });
  }
  return mode;
}

/** A whole number of frames, or undefined. @throws InvalidArgumentError */
export function parseFrames(flag: string, frames: number | undefined): number | undefined {
  if (frames === undefined || (Number.isSafeInteger(frames) && frames >= 0)) return frames;
  throw new InvalidArgumentError(`${flag} must be a number of frames`);
}

/** A whole number of threads, or undefined. @throws InvalidArgumentError */
export function parseThreads(threads: number | undefined): number | undefined {
  if (threads !== undefined && (!Number.isInteger(threads) || threads < 1 || threads > 1024)) {
    throw new InvalidArgumentError('--threads must be a whole number from 1 to 1024');
  }
  return threads;
}

/** So many variants of each image, with LeRobot's defaults; undefined where none are asked for. @throws InvalidArgumentError */
export function parseAugment(variants: number | undefined): AugmentConfig | undefined {
  if (variants === undefined) return undefined;
  const parsed = augmentSchema.safeParse({ variants });
  if (!parsed.success) throw new InvalidArgumentError('--augment must be a whole number from 1 to 64');
  return parsed.data;
}

/** Factors of so low a rank in place of the weights, with a run's own limits; undefined where none are asked for. @throws InvalidArgumentError */
export function parseLora(loraRank: number | undefined, loraAlpha: number | undefined): LoraSettings | undefined {
  if (loraAlpha !== undefined && loraRank === undefined) throw new InvalidArgumentError('--lora-alpha needs --lora-rank');
  const { loraRank: rank, loraAlpha: alpha } = runConfigSchema.shape;
  if (!rank.safeParse(loraRank).success) throw new InvalidArgumentError('--lora-rank must be a whole number from 16 to 256');
  if (!alpha.safeParse(loraAlpha).success) throw new InvalidArgumentError('--lora-alpha must be a number above 0, at most 4096');
  return loraOf({ loraRank, loraAlpha });
}
