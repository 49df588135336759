/**
 * The optimisers' arithmetic over float32 arrays, one range at a time; no state of its own, no I/O. An element is
 * computed in float64 and rounded to float32 once, when it is stored: closer to the formula than PyTorch's float32
 * kernels, and twice as fast in V8 as rounding after every operation.
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

/** Sum of squares of a range, in float64. */
export function sumOfSquares(x: Float32Array, begin: number, end: number): number {
  // Four sums, so that the additions do not wait for each other.
  let sum0 = 0;
  let sum1 = 0;
  let sum2 = 0;
  let sum3 = 0;
  let index = begin;
  for (; index + 3 < end; index += 4) {
    const x0 = x[index]!;
    const x1 = x[index + 1]!;
    const x2 = x[index + 2]!;
    const x3 = x[index + 3]!;
    sum0 += x0 * x0;
    sum1 += x1 * x1;
    sum2 += x2 * x2;
    sum3 += x3 * x3;
  }
  for (; index < end; index++) sum0 += x[index]! * x[index]!;
  return sum0 + sum1 + (sum2 + sum3);
}

/**
 * Adds the proximal term's gradient `mu · (w − reference)` to `g` (FedProx, Li et al. 2020).
 *
 * @returns the sum of squares of `w − reference`.
 */
export function addProximal(
  g: Float32Array,
  w: Float32Array,
  reference: Float32Array,
  mu: number,
  begin: number,
  end: number,
): number {
  let sum = 0;
  for (let index = begin; index < end; index++) {
    const difference = w[index]! - reference[index]!;
    g[index] = g[index]! + mu * difference;
    sum += difference * difference;
  }
  return sum;
}

/** One AdamW update of a range (Loshchilov & Hutter 2019, in the order of `torch.optim.AdamW`). */
export function adamWUpdate(
  w: Float32Array,
  g: Float32Array,
  m: Float32Array,
  v: Float32Array,
  { betas, epsilon }: AdamWSettings,
  coefficients: AdamWCoefficients,
  clip: number,
  begin: number,
  end: number,
): void {
  const { decay, stepSize, rootCorrection } = coefficients;
  const [beta1, beta2] = betas;
  const [add1, add2] = [1 - beta1, 1 - beta2];
  // lr / (√v / c + ε) = (lr · c) / (√v + ε · c): one division an element instead of two.
  const scale = stepSize * rootCorrection;
  const floor = epsilon * rootCorrection;
  for (let index = begin; index < end; index++) {
    const gradient = g[index]! * clip;
    const mean = beta1 * m[index]! + add1 * gradient;
    const square = beta2 * v[index]! + add2 * gradient * gradient;
    m[index] = mean;
    v[index] = square;
    w[index] = w[index]! * decay - (scale * mean) / (Math.sqrt(square) + floor);
  }
}

/** One update of stochastic gradient descent of a range, in the order of `torch.optim.SGD`. */
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
