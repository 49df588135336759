import { setImmediate } from 'node:timers/promises';
import { InvalidArgumentError, sameShape, type Float32Tensor, type Parameters } from '@zk0/core';
import { privacySpent } from './accountant.ts';
import { clipScale } from './mechanism.ts';
import { addGaussian, deriveNoiseKey } from './noise.ts';

/** Values between two turns of the event loop: signs of life go on meanwhile. */
const PIECE = 1 << 18;

/** How a client makes its update private before it leaves. */
export interface LocalPrivacyOptions {
  /** C: the update's distance from the global parameters is at most this, over all tensors. */
  readonly clippingNorm: number;
  /** z: the noise on each value has standard deviation z·C. */
  readonly noiseMultiplier: number;
  /**
   * The client's own, from `createNoiseSecret`, kept with its state until the update has arrived: sent again after a crash, the update
   * then has the same noise, and two copies with different noise do not leave.
   */
  readonly secret: Uint8Array;
  /** Names the update among all that are made with this secret: run and round. */
  readonly purpose: string;
}

/**
 * Local differential privacy: `w + s·(w_k − w) + N(0, (z·C)²)` with `s = min(1, C/‖w_k − w‖)`, rounded to float32. Whoever gets the
 * result, the server too, learns no more of the recordings than {@link localPrivacySpent} says. A function of its arguments.
 *
 * @returns new tensors, in the names and shapes of `global`.
 * @throws InvalidArgumentError when names or shapes differ, a value is not finite, or an option is out of range.
 */
export async function clipAndNoise(update: Parameters, global: Parameters, options: LocalPrivacyOptions): Promise<Parameters> {
  const { clippingNorm, noiseMultiplier, secret, purpose } = options;
  if (!(clippingNorm > 0 && Number.isFinite(clippingNorm))) throw new InvalidArgumentError(`clippingNorm is ${clippingNorm}`);
  if (!(noiseMultiplier > 0 && Number.isFinite(noiseMultiplier))) throw new InvalidArgumentError(`noiseMultiplier is ${noiseMultiplier}`);
  const norm = await distance(update, global);
  const scale = clipScale(norm, clippingNorm);
  const key = deriveNoiseKey(secret, 'local', purpose);
  const noised = new Map<string, Float32Tensor>();
  const values = new Float64Array(PIECE);
  for (const [name, { shape, data: origin }] of global) {
    const { data } = update.get(name)!;
    const result = new Float32Array(origin.length);
    const tensorKey = deriveNoiseKey(key, 'tensor', name);
    for (let start = 0; start < origin.length; start += PIECE) {
      const piece = values.subarray(0, Math.min(PIECE, origin.length - start));
      for (let index = 0; index < piece.length; index++) {
        const from = origin[start + index]!;
        piece[index] = from + scale * (data[start + index]! - from);
      }
      addGaussian(tensorKey, start, noiseMultiplier * clippingNorm, piece);
      result.set(piece, start);
      await setImmediate();
    }
    noised.set(name, { shape, data: result });
  }
  return noised;
}

/** Rounds of {@link clipAndNoise} with the same z. */
export interface LocalRounds {
  readonly noiseMultiplier: number;
  readonly rounds: number;
}

/**
 * ε of (ε, δ) after so many rounds of {@link clipAndNoise}, of one z or of several, for all that the client's updates say about its
 * recordings. Two clipped updates can differ by 2C, so noise of z·C counts as z/2 of the Gaussian mechanism; nobody samples in the client's
 * favour.
 */
export function localPrivacySpent(spent: LocalRounds | readonly LocalRounds[], delta: number): number {
  return privacySpent([spent].flat().map(({ noiseMultiplier, rounds }) => ({ noiseMultiplier: noiseMultiplier / 2, samplingRate: 1, rounds })), delta);
}

async function distance(update: Parameters, global: Parameters): Promise<number> {
  if (update.size !== global.size) throw new InvalidArgumentError(`the update has ${update.size} tensors, the global parameters ${global.size}`);
  let sum = 0;
  for (const [name, { shape, data: origin }] of global) {
    const tensor = update.get(name);
    if (tensor === undefined || !sameShape(tensor.shape, shape)) throw new InvalidArgumentError(`tensor ${name} is not in the update, or of another shape`);
    for (let start = 0; start < origin.length; start += PIECE) {
      const end = Math.min(origin.length, start + PIECE);
      for (let index = start; index < end; index++) sum += (tensor.data[index]! - origin[index]!) ** 2;
      await setImmediate();
    }
    if (!Number.isFinite(sum)) throw new InvalidArgumentError(`tensor ${name} is not finite, in the update or the global parameters`);
  }
  return Math.sqrt(sum);
}
