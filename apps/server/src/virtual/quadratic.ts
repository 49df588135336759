import { deriveSeed, Random, type FitInstructions } from '@zk0/core';
import type { Fleet } from './fleet.ts';

/** A client's loss is ½ Σ a_j (w_j − c_j)². */
interface ClientLoss {
  readonly curvature: Float32Array;
  readonly optimum: Float32Array;
}

/** Spread of the clients' curvatures, as the standard deviation of their logarithm: local optima then weigh differently in each direction. */
const CURVATURE_SPREAD = 0.3;

/**
 * Heterogeneous quadratic losses, one a client, whose example-weighted mean has an optimum that is known exactly. The initial model is zero,
 * the centre of the optima is one in each direction.
 */
export class QuadraticProblem {
  readonly #losses: readonly ClientLoss[];
  readonly #noise: number;
  /** Coefficients of the mean loss, for each direction: ½ (a w² − 2 b w + c). */
  readonly #mean: { readonly a: Float64Array; readonly b: Float64Array; readonly c: Float64Array };
  readonly dimensions: number;
  /** The lowest value of the mean loss. */
  readonly optimum: number;

  /** @param examples of each client */
  constructor({ dimensions, condition, heterogeneity, noise }: Fleet['problem'], examples: readonly number[], seed: number) {
    this.dimensions = dimensions;
    this.#noise = noise;
    const base = Float64Array.from({ length: dimensions }, (_, j) => condition ** -(dimensions === 1 ? 0 : j / (dimensions - 1)));
    this.#losses = examples.map((_, index) => {
      const random = new Random(deriveSeed(seed, 'virtual problem', index));
      return {
        curvature: Float32Array.from(base, (value) => value * Math.exp(CURVATURE_SPREAD * random.normal())),
        optimum: Float32Array.from(base, () => 1 + heterogeneity * random.normal()),
      };
    });
    const total = examples.reduce((sum, count) => sum + count, 0);
    const [a, b, c] = [new Float64Array(dimensions), new Float64Array(dimensions), new Float64Array(dimensions)];
    for (const [index, { curvature, optimum }] of this.#losses.entries()) {
      const share = examples[index]! / total;
      for (let j = 0; j < dimensions; j++) {
        a[j]! += share * curvature[j]!;
        b[j]! += share * curvature[j]! * optimum[j]!;
        c[j]! += share * curvature[j]! * optimum[j]! ** 2;
      }
    }
    this.#mean = { a, b, c };
    this.optimum = this.loss(Float64Array.from(a, (value, j) => b[j]! / value));
  }

  /** The mean loss at `w`. */
  loss(w: ArrayLike<number>): number {
    const { a, b, c } = this.#mean;
    let sum = 0;
    for (let j = 0; j < this.dimensions; j++) sum += 0.5 * (a[j]! * w[j]! ** 2 - 2 * b[j]! * w[j]! + c[j]!);
    return sum;
  }

  /** How far the mean loss at `w` is above its lowest value. */
  excess(w: ArrayLike<number>): number {
    return Math.max(0, this.loss(w) - this.optimum);
  }

  /**
   * What a client comes to by stochastic gradient descent with FedProx's term. Every step is linear, so the outcome of all of them is drawn
   * at once from its exact distribution.
   *
   * @param index of the client.
   */
  train(index: number, global: Float32Array, { localSteps, learningRate, proximalMu }: FitInstructions, random: Random): { readonly w: Float32Array; readonly loss: number } {
    const { curvature, optimum } = this.#losses[index]!;
    const w = new Float32Array(this.dimensions);
    let loss = 0;
    for (let j = 0; j < this.dimensions; j++) {
      const [a, c] = [curvature[j]!, optimum[j]!];
      const steepness = a + proximalMu;
      const target = (a * c + proximalMu * global[j]!) / steepness;
      const kept = (1 - learningRate * steepness) ** localSteps;
      const perStep = 1 - (1 - learningRate * steepness) ** 2;
      const variance = learningRate ** 2 * this.#noise ** 2 * (perStep === 0 ? localSteps : (1 - kept ** 2) / perStep);
      w[j] = target + kept * (global[j]! - target) + Math.sqrt(variance) * random.normal();
      loss += 0.5 * a * (w[j]! - c) ** 2;
    }
    return { w, loss };
  }
}
