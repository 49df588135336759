import { findSteps, type StepKind } from './lattice.ts';

/** Parts that a recording is looked at in. */
const PARTS = 8;

/** Fewer values than this say nothing of a part. */
const MIN_VALUES = 24;

/**
 * Steps that a joint moves over in a part before they count: over fewer, the steps of degrees and those of a normalised range of about 200°
 * are alike.
 */
const MIN_STEPS = 100;

/** Radians: no joint turns further than this from its middle. */
const MAX_RADIANS = 3.6;

/** Radians (29°) that two joints move in a part before it is taken for one in radians. */
const MOVED_RADIANS = 0.5;

/**
 * Looks whether one recorder wrote all of a recording: episodes of two recorders in one set may be in two units, and no conversion is right
 * for both.
 *
 * @param arm values of the arm's joints, without grippers, one column a joint
 * @returns the kinds of values found in its parts, each once, in order; of those that tell
 */
export function kindsOfParts(arm: readonly Float32Array[]): readonly StepKind[] {
  const length = arm[0]?.length ?? 0;
  const size = Math.max(MIN_VALUES, Math.ceil(length / PARTS));
  const whole = Math.max(0, ...arm.map((column) => furthest(column)));
  const kinds = new Set<StepKind>();
  for (let from = 0; from + MIN_VALUES <= length; from += size) {
    const kind = kindOf(arm.map((column) => column.subarray(from, from + size)), whole);
    if (kind !== null) kinds.add(kind);
  }
  // Whatever the others are: values of this size are no radians.
  if (kinds.has('radians') && whole > 10 * MAX_RADIANS) kinds.add('degrees');
  return [...kinds].sort();
}

function kindOf(part: readonly Float32Array[], whole: number): StepKind | null {
  const votes = part.flatMap((column) => {
    const steps = findSteps(column, 'normalized');
    return steps !== null && spread(column) >= MIN_STEPS * steps.step ? [steps.kind] : [];
  });
  const [first] = votes;
  if (first !== undefined && votes.length >= 2 && votes.every((kind) => kind === first)) return first;
  const largest = Math.max(...part.map(furthest));
  if (largest > 400 && part.every((column) => column.every((value) => value >= 0))) return 'ticks';
  // Beside values of another size, small ones that move as an arm does are radians.
  const moved = part.filter((column) => spread(column) >= MOVED_RADIANS).length;
  if (largest <= MAX_RADIANS && moved >= 2 && whole > 10 * MAX_RADIANS) return 'radians';
  return largest > MAX_RADIANS && largest <= 400 && whole > 400 ? 'degrees' : null;
}

function furthest(values: Float32Array): number {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  return most;
}

function spread(values: Float32Array): number {
  let [min, max] = [Infinity, -Infinity];
  for (const value of values) [min, max] = [Math.min(min, value), Math.max(max, value)];
  return max - min;
}
