import type { Code, Local } from '../wasm/assembler.ts';
import { f64x2, v128 } from '../wasm/simd.ts';
import type { TileFunction } from './values.ts';

/**
 * The server's step from the global values `w` to the new ones, given the combined values `a` (the clients' mean or what
 * replaces it); `Δ = a − w`. State tensors are named by {@link OPTIMIZER_STATE}.
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

/** Names of an optimiser's state tensors, in the order of the kernel's state operands and results. */
export const OPTIMIZER_STATE: Readonly<Record<OptimizerStep['kind'], readonly string[]>> = {
  replace: [],
  momentum: ['momentum'],
  nesterov: ['iterate'],
  adagrad: ['second_moment'],
  adam: ['first_moment', 'second_moment'],
  yogi: ['first_moment', 'second_moment'],
};

const { add, subtract, multiply, divide, sqrt, gt, lt } = f64x2;

/**
 * Turns two combined values into new parameters, in place, and the old state into the new one, in place.
 *
 * @param state One local for each name of {@link OPTIMIZER_STATE}.
 * @param isFirst Whether there is no state yet: the locals hold nothing then.
 */
export function emitStep(
  tile: TileFunction,
  step: OptimizerStep,
  combined: Local,
  global: Local,
  state: readonly Local[],
  isFirst: boolean,
): Code {
  const start = isFirst ? state.flatMap((local) => local.set(step.kind === 'nesterov' ? global.get : v128.zero)) : [];
  const constant = (value: number): Code => tile.constant(value);
  const old = global.get;
  switch (step.kind) {
    case 'replace':
      return [];
    case 'momentum': {
      const [velocity] = state;
      const next = subtract(add(multiply(constant(step.momentum), velocity!.get), old), combined.get);
      return [
        start,
        velocity!.set(next),
        combined.set(subtract(old, multiply(constant(step.learningRate), velocity!.get))),
      ].flat();
    }
    case 'nesterov': {
      const [iterate] = state;
      const before = tile.vector();
      const next = add(old, multiply(constant(step.learningRate), subtract(combined.get, old)));
      return [
        start,
        before.set(iterate!.get),
        iterate!.set(next),
        combined.set(add(iterate!.get, multiply(constant(step.momentum), subtract(iterate!.get, before.get)))),
      ].flat();
    }
    case 'adagrad': {
      const [second] = state;
      const delta = tile.vector();
      const scaled = multiply(constant(step.learningRate), delta.get);
      return [
        start,
        delta.set(subtract(combined.get, old)),
        second!.set(add(second!.get, multiply(delta.get, delta.get))),
        combined.set(add(old, divide(scaled, add(sqrt(second!.get), constant(step.tau))))),
      ].flat();
    }
    case 'adam':
    case 'yogi': {
      const [first, second] = state;
      const delta = tile.vector();
      const square = tile.vector();
      const growth = multiply(constant(1 - step.beta2), square.get);
      const next =
        step.kind === 'adam'
          ? add(multiply(constant(step.beta2), second!.get), growth)
          : subtract(second!.get, multiply(growth, sign(tile, subtract(second!.get, square.get))));
      return [
        start,
        delta.set(subtract(combined.get, old)),
        square.set(multiply(delta.get, delta.get)),
        first!.set(add(multiply(constant(step.beta1), first!.get), multiply(constant(1 - step.beta1), delta.get))),
        second!.set(next),
        combined.set(
          add(old, divide(multiply(constant(step.learningRate), first!.get), add(sqrt(second!.get), constant(step.tau)))),
        ),
      ].flat();
    }
  }
}

function sign(tile: TileFunction, value: Code): Code {
  const one = tile.constant(1);
  return subtract(v128.and(one, gt(value, v128.zero)), v128.and(one, lt(value, v128.zero)));
}
