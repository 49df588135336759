import type { Scalars } from './contract.ts';
import type { OptimizerStep } from './kernels/optimizers.ts';

/** What the server does with the combined updates. */
export interface ServerOptimizer {
  readonly kind: OptimizerStep['kind'];
  /** The step of aggregation number `step`, from 1. */
  step(step: number): OptimizerStep;
}

/** The combined updates are the new parameters. */
export const REPLACE: ServerOptimizer = { kind: 'replace', step: () => ({ kind: 'replace' }) };

/** FedAvgM (Hsu et al., 2019): heavy-ball momentum on the difference between global parameters and their mean. */
export function heavyBall(learningRate: number, momentum: number): ServerOptimizer {
  return { kind: 'momentum', step: () => ({ kind: 'momentum', learningRate, momentum }) };
}

/** FedMom (Huo et al., 2020), Nesterov's momentum; with many local steps the outer optimiser of DiLoCo (Douillard et al., 2023). */
export function nesterov(learningRate: number, momentum: number): ServerOptimizer {
  return { kind: 'nesterov', step: () => ({ kind: 'nesterov', learningRate, momentum }) };
}

/** FedAdagrad (Reddi et al., 2021). */
export function adagrad(learningRate: number, tau: number): ServerOptimizer {
  return { kind: 'adagrad', step: () => ({ kind: 'adagrad', learningRate, tau }) };
}

/** FedAdam (Reddi et al., 2021), with the bias correction that Flower applies to the learning rate. */
export function adam(learningRate: number, beta1: number, beta2: number, tau: number): ServerOptimizer {
  return {
    kind: 'adam',
    step: (step) => ({
      kind: 'adam',
      learningRate: (learningRate * Math.sqrt(1 - beta2 ** (step + 1))) / (1 - beta1 ** (step + 1)),
      beta1,
      beta2,
      tau,
    }),
  };
}

/** FedYogi (Reddi et al., 2021), without bias correction. */
export function yogi(learningRate: number, beta1: number, beta2: number, tau: number): ServerOptimizer {
  return { kind: 'yogi', step: () => ({ kind: 'yogi', learningRate, beta1, beta2, tau }) };
}

/** How many aggregations there have been. */
export function stepsTaken(scalars: Scalars): number {
  return typeof scalars['step'] === 'number' ? scalars['step'] : 0;
}
