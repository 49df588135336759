/**
 * Settings and coefficients of the optimisers, and the arithmetic of stochastic gradient descent; AdamW's is in
 * `vector-rules.ts`.
 */

/** AdamW's settings that stay the same over a run. */
export interface AdamWSettings {
  readonly kind: 'adamw';
  readonly betas: readonly [number, number];
  /** Added to the root of the second moment. */
  readonly epsilon: number;
  readonly weightDecay: number;
}

/** Settings of stochastic gradient descent. */
export interface SgdSettings {
  readonly kind: 'sgd';
  /** 0 is plain descent. */
  readonly momentum: number;
  readonly weightDecay: number;
}

export type OptimizerSettings = AdamWSettings | SgdSettings;

/** Numbers of one AdamW step. */
export interface AdamWCoefficients {
  /** Factor on the weights before the update: `1 − lr · weightDecay`. */
  readonly decay: number;
  /** `lr / (1 − β₁ᵗ)`. */
  readonly stepSize: number;
  /** `√(1 − β₂ᵗ)`. */
  readonly rootCorrection: number;
}

/** Coefficients of step `step` (from 1). */
export function adamWCoefficients(
  { betas, weightDecay }: Pick<AdamWSettings, 'betas' | 'weightDecay'>,
  learningRate: number,
  step: number,
): AdamWCoefficients {
  return {
    decay: 1 - learningRate * weightDecay,
    stepSize: learningRate / (1 - betas[0] ** step),
    rootCorrection: Math.sqrt(1 - betas[1] ** step),
  };
}

/** Factor that brings gradients of this norm within `maxNorm`, as `torch.nn.utils.clip_grad_norm_` computes it. */
export function clipFactor(norm: number, maxNorm: number): number {
  return Math.min(1, maxNorm / (norm + 1e-6));
}

/** One update of stochastic gradient descent of a range, in the order of `torch.optim.SGD`, in float64, rounded once. */
export function sgdUpdate(
  w: Float32Array,
  g: Float32Array,
  velocity: Float32Array | undefined,
  { momentum, weightDecay }: SgdSettings,
  learningRate: number,
  isFirst: boolean,
  clip: number,
  begin: number,
  end: number,
): void {
  // PyTorch's velocity starts as the first gradient.
  const keep = isFirst ? 0 : momentum;
  for (let index = begin; index < end; index++) {
    let update = g[index]! * clip + weightDecay * w[index]!;
    if (velocity !== undefined) {
      update += keep * velocity[index]!;
      velocity[index] = update;
    }
    w[index] = w[index]! - learningRate * update;
  }
}
