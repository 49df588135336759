import { describeTrainingCost, LONG_TRAINING_SECONDS } from '@zk0/cli';
import type { RunConfig } from '@zk0/core';
import { estimateTraining } from '@zk0/policy-smolvla';
import { sampleSize } from '@zk0/strategy';
import type { SeenRecordings } from './preflight.ts';

/** What a simulation trains, as far as its cost is concerned. */
export interface CostlySimulation {
  readonly config: Pick<RunConfig, 'rounds' | 'localSteps' | 'batchSize' | 'fraction' | 'minClients'>;
  readonly clients: number;
  /** Addresses of all recordings, those held out included. */
  readonly datasets: readonly string[];
}

/** One line on how long a simulation trains where that is long and on the processor; null elsewhere. */
export async function simulationCost({ config, clients, datasets }: CostlySimulation, seen: SeenRecordings, threads: number): Promise<string | null> {
  const { policy } = seen;
  if (policy.device !== 'cpu') return null;
  const { localSteps = policy.trainingDefaults.localSteps, batchSize = policy.trainingDefaults.batchSize } = config;
  const steps = config.rounds * sampleSize(clients, config.fraction, config.minClients) * localSteps;
  const recordings = datasets.map((uri) => seen.of(uri));
  const planned = {
    steps,
    batchSize,
    frames: recordings.reduce((sum, { frameCount = 0 }) => sum + frameCount, 0),
    cameras: Math.max(1, ...recordings.map(({ cameras }) => cameras.length)),
  };
  const seconds = await estimateTraining(policy.config.model, planned, threads, LONG_TRAINING_SECONDS);
  return seconds === null ? null : describeTrainingCost(seconds, steps, batchSize);
}
