import { SEGMENT } from './block.ts';

/**
 * The server's step from the global values `w` to the new ones, given the combined values `a` (the clients' mean or what
 * replaces it); `Δ = a − w`. State arrays are named by {@link OPTIMIZER_STATE}.
 */
export type OptimizerStep =
  /** `w ← a`. */
  | { readonly kind: 'replace' }
  /** `v ← momentum·v − Δ; w ← w − learningRate·v`; v starts at 0. */
  | { readonly kind: 'momentum'; readonly learningRate: number; readonly momentum: number }
  /** `u' ← w + learningRate·Δ; w ← u' + momentum·(u' − u)`; u starts at w. */
  | { readonly kind: 'nesterov'; readonly learningRate: number; readonly momentum: number }
  /** `v ← v + Δ²; w ← w + learningRate·Δ/(√v + tau)`. */
  | { readonly kind: 'adagrad'; readonly learningRate: number; readonly tau: number }
  /** `m ← β₁m + (1−β₁)Δ; v ← β₂v + (1−β₂)Δ²; w ← w + learningRate·m/(√v + tau)`; bias correction is in learningRate. */
  | AdaptiveStep<'adam'>
  /** As adam, but `v ← v − (1−β₂)Δ²·sign(v − Δ²)`. */
  | AdaptiveStep<'yogi'>;

interface AdaptiveStep<Kind extends string> {
  readonly kind: Kind;
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly tau: number;
}

/** Names of an optimiser's state tensors, in the order of the kernel's state arrays. */
export const OPTIMIZER_STATE: Readonly<Record<OptimizerStep['kind'], readonly string[]>> = {
  replace: [],
  momentum: ['momentum'],
  nesterov: ['iterate'],
  adagrad: ['second_moment'],
  adam: ['first_moment', 'second_moment'],
  yogi: ['first_moment', 'second_moment'],
};

/** What moments are before the first round. */
const ZEROS = new Float32Array(SEGMENT);

/** Computes a segment's new parameters and new state in float64. `state` is empty in the first round. */
export function optimizeSegment(
  step: OptimizerStep,
  combined: Float64Array,
  global: Float32Array,
  state: readonly Float32Array[],
  result: Float32Array,
  newState: readonly Float32Array[],
  length: number,
): void {
  switch (step.kind) {
    case 'replace':
      for (let i = 0; i < length; i++) result[i] = combined[i]!;
      return;
    case 'momentum': {
      const velocity = state[0] ?? ZEROS;
      const [newVelocity] = newState;
      for (let i = 0; i < length; i++) {
        const v = step.momentum * velocity[i]! + global[i]! - combined[i]!;
        newVelocity![i] = v;
        result[i] = global[i]! - step.learningRate * v;
      }
      return;
    }
    case 'nesterov': {
      const iterate = state[0] ?? global;
      const [newIterate] = newState;
      for (let i = 0; i < length; i++) {
        const u = global[i]! + step.learningRate * (combined[i]! - global[i]!);
        newIterate![i] = u;
        result[i] = u + step.momentum * (u - iterate[i]!);
      }
      return;
    }
    case 'adagrad': {
      const second = state[0] ?? ZEROS;
      const [newSecond] = newState;
      for (let i = 0; i < length; i++) {
        const delta = combined[i]! - global[i]!;
        const v = second[i]! + delta * delta;
        newSecond![i] = v;
        result[i] = global[i]! + (step.learningRate * delta) / (Math.sqrt(v) + step.tau);
      }
      return;
    }
    case 'adam':
    case 'yogi':
      adaptive(step, combined, global, state, result, newState, length);
  }
}

function adaptive(
  { kind, learningRate, beta1, beta2, tau }: AdaptiveStep<'adam' | 'yogi'>,
  combined: Float64Array,
  global: Float32Array,
  [first = ZEROS, second = ZEROS]: readonly Float32Array[],
  result: Float32Array,
  [newFirst, newSecond]: readonly Float32Array[],
  length: number,
): void {
  for (let i = 0; i < length; i++) {
    const delta = combined[i]! - global[i]!;
    const square = delta * delta;
    const before = second[i]!;
    const m = beta1 * first[i]! + (1 - beta1) * delta;
    const v = kind === 'adam' ? beta2 * before + (1 - beta2) * square : before - (1 - beta2) * square * Math.sign(before - square);
    newFirst![i] = m;
    newSecond![i] = v;
    result[i] = global[i]! + (learningRate * m) / (Math.sqrt(v) + tau);
  }
}
