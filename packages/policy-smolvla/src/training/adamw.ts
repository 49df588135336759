/** Hyper-parameters of AdamW (Loshchilov & Hutter, 2019). */
export interface AdamWOptions {
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  readonly weightDecay: number;
  /** Gradients are scaled down to this global L2 norm. */
  readonly gradClipNorm: number;
}

/** What one step saw. */
export interface StepReport {
  /** Global L2 norm of the gradients, proximal term included, before clipping. */
  readonly gradNorm: number;
  /** `μ/2·‖w − anchor‖²` before the step. */
  readonly proximalLoss: number;
}

/** AdamW with global-norm clipping and FedProx's proximal term over a set of float32 tensors, in place. */
export class AdamW {
  readonly #options: AdamWOptions;
  readonly #weights: readonly Float32Array[];
  readonly #anchors: readonly Float32Array[];
  readonly #first: readonly Float32Array[];
  readonly #second: readonly Float32Array[];
  #steps = 0;

  /** @param anchors the weights that the proximal term pulls towards */
  constructor(weights: readonly Float32Array[], anchors: readonly Float32Array[], options: AdamWOptions) {
    this.#weights = weights;
    this.#anchors = anchors;
    this.#options = options;
    this.#first = weights.map(({ length }) => new Float32Array(length));
    this.#second = weights.map(({ length }) => new Float32Array(length));
  }

  /**
   * Adds the proximal gradient to `gradients` and measures them. Nothing is updated yet, so that a caller can refuse
   * what is not finite.
   */
  measure(gradients: readonly Float32Array[], proximalMu: number): StepReport {
    let squares = 0;
    let distance = 0;
    gradients.forEach((gradient, tensor) => {
      if (proximalMu > 0) distance += addProximal(gradient, this.#weights[tensor]!, this.#anchors[tensor]!, proximalMu);
      squares += sumOfSquares(gradient);
    });
    return { gradNorm: Math.sqrt(squares), proximalLoss: (proximalMu / 2) * distance };
  }

  /** One update with gradients of the given global norm. */
  step(gradients: readonly Float32Array[], gradNorm: number, learningRate: number): void {
    const { betas, epsilon, weightDecay, gradClipNorm } = this.#options;
    const [beta1, beta2] = betas;
    this.#steps++;
    const clip = Math.min(1, gradClipNorm / (gradNorm + 1e-6));
    const stepSize = learningRate / (1 - beta1 ** this.#steps);
    const secondScale = 1 / Math.sqrt(1 - beta2 ** this.#steps);
    const decay = 1 - learningRate * weightDecay;
    gradients.forEach((gradient, tensor) => {
      const weight = this.#weights[tensor]!;
      const first = this.#first[tensor]!;
      const second = this.#second[tensor]!;
      for (let index = 0; index < weight.length; index++) {
        const value = gradient[index]! * clip;
        const m = beta1 * first[index]! + (1 - beta1) * value;
        const v = beta2 * second[index]! + (1 - beta2) * value * value;
        first[index] = m;
        second[index] = v;
        weight[index] = weight[index]! * decay - (stepSize * m) / (Math.sqrt(v) * secondScale + epsilon);
      }
    });
  }
}

function addProximal(gradient: Float32Array, weight: Float32Array, anchor: Float32Array, mu: number): number {
  let distance = 0;
  for (let index = 0; index < gradient.length; index++) {
    const difference = weight[index]! - anchor[index]!;
    distance += difference * difference;
    gradient[index] = gradient[index]! + mu * difference;
  }
  return distance;
}

function sumOfSquares(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return sum;
}
