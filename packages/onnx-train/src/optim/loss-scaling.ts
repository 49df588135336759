/**
 * Loss scaling that finds its own scale, as PyTorch's `GradScaler` does: gradients that overflow float16 cost a step and
 * halve the scale, a long run without doubles it. Once for a host that looks at every step, once as graph nodes.
 */
import type { Value } from '../graph/value.ts';
import * as ops from '../ops/index.ts';

/** `GradScaler`'s own numbers. */
export const LOSS_SCALING = { initial: 2 ** 16, growth: 2, backoff: 0.5, interval: 2000 } as const;

/** Below this, gradients that still overflow are not float16's fault. */
export const LEAST_LOSS_SCALE = 1;

/** The scale, and how many steps were taken since it last changed. */
export interface LossScale {
  readonly scale: number;
  readonly streak: number;
}

/** What the scale is to begin with. */
export const INITIAL_LOSS_SCALE: LossScale = { scale: LOSS_SCALING.initial, streak: 0 };

/** The scale after a step whose gradients were finite, or not. */
export function nextLossScale({ scale, streak }: LossScale, isFinite: boolean): LossScale {
  if (!isFinite) return { scale: scale * LOSS_SCALING.backoff, streak: 0 };
  if (streak + 1 === LOSS_SCALING.interval) return { scale: scale * LOSS_SCALING.growth, streak: 0 };
  return { scale, streak: streak + 1 };
}

/** {@link nextLossScale} in a graph: float32 scalars, and a bool scalar. */
export function writeNextLossScale(
  { scale, streak }: { readonly scale: Value; readonly streak: Value },
  isFinite: Value,
): { scale: Value; streak: Value } {
  const longer = ops.add(streak, 1);
  const grows = ops.greaterOrEqual(longer, LOSS_SCALING.interval);
  const kept = ops.where(grows, ops.mul(scale, LOSS_SCALING.growth), scale);
  return {
    scale: ops.where(isFinite, kept, ops.mul(scale, LOSS_SCALING.backoff)),
    streak: ops.where(isFinite, ops.where(grows, 0, longer), 0),
  };
}
