import { successRate } from '@zk0/rollout';
import type { RoundRecord, RunInfo, SuccessRecord } from './types.ts';

const START_MS = Date.parse('2026-01-31T12:00:00Z');

/** A run for tests: losses fall by half each round; client `missing` has no update in round 2. */
export function exampleRounds(clients: number, last: number, missing?: number): RoundRecord[] {
  return Array.from({ length: last + 1 }, (_, round) => {
    const asked = round === 0 ? [] : Array.from({ length: clients }, (_unused, index) => index);
    const counted = asked.filter((index) => !(index === missing && round === 2));
    return {
      round,
      clients: counted.map((index) => ({
        clientId: `client_${index}`,
        datasetName: `kitchen ${index}`,
        numExamples: 100 + index,
        metrics: { loss: 0.5 ** round + index * 0.1 + 0.01, policy_loss: 0.5 ** round + index * 0.1, fedprox_loss: 0.01, grad_norm: 2, num_steps: 20 },
        paramHash: String(index % 10).repeat(64),
      })),
      missing: asked.filter((index) => !counted.includes(index)).map((index) => ({
        clientId: `client_${index}`,
        reason: 'deadline',
      })),
      server: {
        policyLoss: 0.5 ** round,
        totalSamples: 64,
        standardError: 0.02,
        datasets: [{ name: 'held', policyLoss: 0.5 ** round, standardError: 0.02, samples: 64, actionDim: 6, successfulBatches: 4, totalBatches: 4 }],
      },
      time: {
        startedAt: new Date(START_MS + round * 10_000),
        ...(round > 0 && { closedAt: new Date(START_MS + round * 10_000 + 6000), aggregatedAt: new Date(START_MS + round * 10_000 + 6500) }),
        evaluatedAt: new Date(START_MS + round * 10_000 + 8000),
        endedAt: new Date(START_MS + round * 10_000 + 8000),
        receivedAt: new Map(counted.map((index) => [`client_${index}`, new Date(START_MS + round * 10_000 + 5000 + index)])),
      },
      aggregated: round === 0 ? {} : { param_update_norm: 1.5, lr: 1e-4, mu: 0.01 },
      paramHash: 'f'.repeat(64),
    };
  });
}

export const exampleInfo: RunInfo = {
  runId: 'run-1',
  startedAt: new Date('2026-01-31T12:00:00Z'),
  config: { rounds: 3, seed: 42 },
  resolved: { localSteps: 20, batchSize: 16, learningRate: 1e-4, proximalMu: 0.01, evaluationBatchSize: 16, strategy: { name: 'fedprox', proximalMu: 0.01 } },
  compute: { server: { device: 'cpu', precision: 'float32', threads: 1 }, clients: [] },
  simulation: { clients: [{ client_id: '0', dataset: 'demo:cube-to-bowl' }] },
  versions: { zk0: '0.1.0', node: '24.0.0' },
  datasets: [
    { role: 'train', clientId: 'client_0', name: 'kitchen 0', contentHash: 'a'.repeat(64), episodes: 8, frames: 400 },
    { role: 'held-out', name: 'held', uri: 'demo:held', contentHash: 'b'.repeat(64), episodes: 2, frames: 100 },
  ],
};

/** A policy that did its task in `successes` of ten trials, half of them at each of two places. */
export function exampleSuccess(round: number, successes: number): SuccessRecord {
  const summary = (done: number, trials: number): Omit<SuccessRecord['places'][number], 'world' | 'place' | 'clampedShare'> => ({
    ...successRate(done, trials),
    secondsToSuccess: done === 0 ? null : 4,
    failures: done === trials ? {} : { 'not-grasped': trials - done },
  });
  const left = Math.min(5, successes);
  return {
    ...summary(successes, 10),
    round,
    tasks: ['demo:cube-to-bowl?place=each'],
    seed: '0',
    places: [
      { world: 'cube-to-bowl', place: 'left', clampedShare: 0, ...summary(left, 5) },
      { world: 'cube-to-bowl', place: 'right', clampedShare: 0.5, ...summary(successes - left, 5) },
    ],
  };
}
