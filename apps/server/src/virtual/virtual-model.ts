import type { Evaluation, JsonObject } from '@zk0/core';
import type { ClientDescription, FederatedModel, RunModel, TrainingDefaults } from '@zk0/federation';
import { readParameters } from '@zk0/storage';
import { TENSOR } from './parameters.ts';
import type { QuadraticProblem } from './quadratic.ts';

/** How virtual clients train unless the settings say otherwise. */
export const TRAINING_DEFAULTS: TrainingDefaults = { localSteps: 50, batchSize: 1, learningRate: 0.02 };

/** The server's side of a problem whose loss is known. What it reports as the held-out loss is how far the loss is above its optimum. */
export class VirtualModel implements FederatedModel {
  readonly #problem: QuadraticProblem;

  constructor(problem: QuadraticProblem) {
    this.#problem = problem;
  }

  describeClient(profile: JsonObject): ClientDescription {
    return { label: 'virtual', numExamples: Number(profile['examples']) };
  }

  openRun(): Promise<RunModel> {
    const problem = this.#problem;
    return Promise.resolve({
      trainingDefaults: TRAINING_DEFAULTS,
      start: () =>
        Promise.resolve({ parameters: new Map([[TENSOR, { shape: [problem.dimensions], data: new Float32Array(problem.dimensions) }]]), context: { run: {} } }),
      evaluate: async (path: string): Promise<Evaluation> => {
        const policyLoss = problem.excess((await readParameters(path)).get(TENSOR)!.data);
        return { policyLoss, totalSamples: 1, datasets: [] };
      },
      saveCheckpoint: () => Promise.resolve('virtual'),
    });
  }
}
