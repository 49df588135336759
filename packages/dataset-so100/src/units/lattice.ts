/**
 * The steps between the values that a servo's encoder can give: they tell the units and, of normalised values, the calibrated range.
 * A servo of 4096 ticks a turn gives values on a grid whose step is one tick in the units recorded.
 */
export type StepKind = 'ticks' | 'radians' | 'degrees' | 'normalized' | 'percent';

/** What the steps of a joint's values say. */
export interface StepEvidence {
  readonly kind: StepKind;
  /** Units from one tick to the next. */
  readonly step: number;
  /** Ticks of the calibrated range; of `normalized` and `percent`. */
  readonly range?: number;
}

/** Fewer different values than this say nothing. */
const MIN_VALUES = 12;

/** Values looked at. */
const MAX_VALUES = 256;

/** How far values may lie from the grid, in steps (root of the mean square): rounding to two decimals gives 0.03, chance 0.29. */
const MAX_RESIDUAL = 0.06;

/** Ranges that joints of these arms are calibrated to, in ticks. */
const MIN_RANGE = 700;
const MAX_RANGE = 4096;

/**
 * Steps that do not depend on a calibration. LeRobot divided a turn of degrees by 4096 until mid 2025, and by 4095 since; the two are
 * not told apart by the steps, which drivers of other tools share.
 */
const FIXED: readonly { readonly kind: StepKind; readonly step: number }[] = [
  { kind: 'ticks', step: 1 },
  { kind: 'degrees', step: 360 / 4096 },
  { kind: 'degrees', step: 360 / 4095 },
  { kind: 'radians', step: (2 * Math.PI) / 4096 },
  { kind: 'radians', step: (2 * Math.PI) / 4095 },
];

/**
 * Finds the grid on which a joint's values lie.
 *
 * @param values as recorded, in any order
 * @param scaled how the joint is scaled where it is not in fixed units: a gripper in per cent, other joints −100 … 100; null for neither
 * @returns null where they lie on none, or are too few to tell
 */
export function findSteps(values: ArrayLike<number>, scaled: 'percent' | 'normalized' | null): StepEvidence | null {
  const distinct = [...new Set(Array.from(values))].sort((a, b) => a - b);
  if (distinct.length < MIN_VALUES) return null;
  const thinned = thin(distinct);
  const spread = distinct.at(-1)! - distinct[0]!;
  for (const { kind, step } of FIXED) {
    // Fewer steps between the ends than a grid needs to be one; or so many that single-precision floats blur it.
    if (spread / step < MIN_VALUES || !isResolved(distinct, step)) continue;
    if (residual(thinned, distinct[0]!, step) <= MAX_RESIDUAL) return { kind, step };
  }
  if (scaled === null) return null;
  const [low, whole] = scaled === 'percent' ? [0, 100] : [-100, 200];
  if (distinct[0]! < low - 1e-3 || distinct.at(-1)! > low + whole + 1e-3) return null;
  // A joint that moves little around the middle lies nearly on the grids of ranges that are some counts shorter or longer, too: the
  // nearest is taken. Of a grid and those that are as many times finer, which hold its values too, the coarsest is the nearest.
  let [best, least] = [0, MAX_RESIDUAL];
  for (let range = MIN_RANGE; range <= MAX_RANGE; range++) {
    const step = whole / range;
    if (spread / step < MIN_VALUES) continue;
    const off = residual(thinned, low, step, least);
    if (off < least) [best, least] = [range, off];
  }
  return best === 0 ? null : { kind: scaled, step: whole / best, range: best };
}

function thin(values: readonly number[]): readonly number[] {
  if (values.length <= MAX_VALUES) return values;
  return Array.from({ length: MAX_VALUES }, (_, i) => values[Math.floor((i * (values.length - 1)) / (MAX_VALUES - 1))]!);
}

/** Whether neighbouring values are at least most of a step apart: on a finer grid, or on none, some are nearer. */
function isResolved(sorted: readonly number[], step: number): boolean {
  let near = 0;
  for (let i = 1; i < sorted.length; i++) {
    const gap = sorted[i]! - sorted[i - 1]!;
    if (gap > step * 0.15 && gap < step * 0.85) near++;
  }
  return near <= sorted.length / 50;
}

/** Distance of values from a grid through `origin`, in steps: the root of the mean square. */
function residual(values: readonly number[], origin: number, step: number, most = MAX_RESIDUAL): number {
  let sum = 0;
  for (const value of values) {
    const steps = (value - origin) / step;
    sum += (steps - Math.round(steps)) ** 2;
    // Already more than all values together may have.
    if (sum > most ** 2 * values.length) return Infinity;
  }
  return Math.sqrt(sum / values.length);
}
