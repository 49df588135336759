import { availableParallelism } from 'node:os';
import { describeTrainingCost, LONG_TRAINING_SECONDS } from '@zk0/cli';
import { estimateTraining, type PlannedTraining, type SmolVlaPolicy } from '@zk0/policy-smolvla';

/** One line on how long a training takes where that is long and on the processor; null elsewhere. */
export async function trainingCost(policy: Pick<SmolVlaPolicy, 'device' | 'config'>, planned: PlannedTraining, threads = availableParallelism()): Promise<string | null> {
  if (policy.device !== 'cpu') return null;
  const seconds = await estimateTraining(policy.config.model, planned, threads, LONG_TRAINING_SECONDS);
  return seconds === null ? null : describeTrainingCost(seconds, planned.steps, planned.batchSize);
}
