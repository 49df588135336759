import type { MotionFinding } from './episode-motion.ts';
import { MOTION } from './thresholds.ts';

/** An episode as it is compared with others. */
export interface ComparedEpisode {
  readonly episodeIndex: number;
  /** `frames × size`, row-major, in degrees where units are known. */
  readonly state: Float32Array;
}

/** Moments of an episode at which it is compared with others. */
const MOMENTS = 24;

/** Comparing all with all grows with the square of this. */
const MAX_COMPARED = 3000;

/**
 * Finds episodes that are far longer or shorter than the others, and such as repeat another one nearly to the degree.
 *
 * @param scale degrees (or per cent) that one unit of each value is; NaN for values that are left out
 * @returns by episode number
 */
export function compareEpisodes(episodes: readonly ComparedEpisode[], scale: readonly number[]): ReadonlyMap<number, readonly MotionFinding[]> {
  const found = new Map<number, MotionFinding[]>();
  const add = (episode: number, finding: MotionFinding): void => {
    found.set(episode, [...(found.get(episode) ?? []), finding]);
  };
  const lengths = episodes.map(({ state }) => state.length / scale.length);
  const median = lengths.toSorted((a, b) => a - b)[lengths.length >> 1] ?? 0;
  const mean = lengths.reduce((sum, length) => sum + length, 0) / Math.max(1, lengths.length);
  const spread = Math.sqrt(lengths.reduce((sum, length) => sum + (length - mean) ** 2, 0) / Math.max(1, lengths.length));
  if (episodes.length >= MOTION.minEpisodesForLength) {
    for (const [i, { episodeIndex }] of episodes.entries()) {
      const factor = lengths[i]! / median;
      const isUsual = factor <= MOTION.lengthFactor && factor >= 1 / MOTION.lengthFactor && Math.abs(lengths[i]! - mean) <= MOTION.lengthSpreads * spread;
      if (isUsual) continue;
      add(episodeIndex, { code: 'LENGTH_OUTLIER', message: `it has ${lengths[i]!} frames, where half of the episodes have over ${median}` });
    }
  }
  const used = scale.flatMap((factor, i) => (Number.isFinite(factor) ? [i] : []));
  if (used.length === 0) return found;
  const sketches = episodes.slice(0, MAX_COMPARED).map(({ state }) => sketch(state, scale, used));
  for (const [i, one] of sketches.entries()) {
    for (let j = 0; j < i; j++) {
      if (!isNear(one, sketches[j]!)) continue;
      add(episodes[i]!.episodeIndex, { code: 'NEAR_DUPLICATE', message: `it is nowhere more than ${MOTION.duplicateDegrees}° from episode ${episodes[j]!.episodeIndex}` });
      break;
    }
  }
  return found;
}

/** An episode's states at moments that are evenly spread. */
function sketch(state: Float32Array, scale: readonly number[], used: readonly number[]): Float32Array {
  const frames = state.length / scale.length;
  const values = new Float32Array(MOMENTS * used.length);
  for (let moment = 0; moment < MOMENTS; moment++) {
    const frame = Math.round((moment * (frames - 1)) / (MOMENTS - 1));
    used.forEach((of, i) => (values[moment * used.length + i] = state[frame * scale.length + of]! * scale[of]!));
  }
  return values;
}

function isNear(a: Float32Array, b: Float32Array): boolean {
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < a.length; i++) {
    if (Math.abs(a[i]! - b[i]!) > MOTION.duplicateDegrees) return false;
    low = Math.min(low, a[i]!);
    high = Math.max(high, a[i]!);
  }
  // Arms that do not move are alike, and found as idle.
  return high - low > 2 * MOTION.duplicateDegrees;
}
