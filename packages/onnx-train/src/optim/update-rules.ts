/**
 * The optimisers' arithmetic over float32 arrays, one range at a time; no state of its own, no I/O. Everything is
 * rounded to float32 after each operation, as PyTorch computes it on float32 tensors.
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

/** Numbers of one AdamW step, computed in float64 once and rounded. */
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

const { fround, sqrt } = Math;

/** Sum of squares of a range, in float64. */
export function sumOfSquares(x: Float32Array, begin: number, end: number): number {
  // Four sums, so that the additions do not wait for each other.
  let [a, b, c, d] = [0, 0, 0, 0];
  let index = begin;
  for (; index + 3 < end; index += 4) {
    const [w, x1, y, z] = [x[index]!, x[index + 1]!, x[index + 2]!, x[index + 3]!];
    a += w * w;
    b += x1 * x1;
    c += y * y;
    d += z * z;
  }
  for (; index < end; index++) a += x[index]! * x[index]!;
  return a + b + (c + d);
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
    const difference = fround(w[index]! - reference[index]!);
    g[index] = g[index]! + fround(mu) * difference;
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
  const decay = fround(coefficients.decay);
  const stepSize = fround(coefficients.stepSize);
  const rootCorrection = fround(coefficients.rootCorrection);
  const [factor, eps] = [fround(clip), fround(epsilon)];
  const addM = fround(1 - betas[0]);
  const [keepV, addV] = [fround(betas[1]), fround(1 - betas[1])];
  for (let index = begin; index < end; index++) {
    const gradient = fround(g[index]! * factor);
    const mean = fround(m[index]! + fround(addM * fround(gradient - m[index]!)));
    const square = fround(fround(keepV * v[index]!) + fround(addV * fround(gradient * gradient)));
    m[index] = mean;
    v[index] = square;
    const root = fround(fround(fround(sqrt(square)) / rootCorrection) + eps);
    w[index] = fround(fround(w[index]! * decay) - fround(stepSize * fround(mean / root)));
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
  const [rate, factor, decay] = [fround(learningRate), fround(clip), fround(weightDecay)];
  // PyTorch's velocity starts as the first gradient.
  const keep = isFirst ? 0 : fround(momentum);
  for (let index = begin; index < end; index++) {
    let gradient = fround(fround(g[index]! * factor) + fround(decay * w[index]!));
    if (velocity !== undefined) {
      gradient = fround(fround(keep * velocity[index]!) + gradient);
      velocity[index] = gradient;
    }
    w[index] = fround(w[index]! - fround(rate * gradient));
  }
}
