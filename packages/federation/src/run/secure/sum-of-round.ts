import type { RunState } from '@zk0/core';
import { SecureAggregationError } from '@zk0/secure-aggregation';
import { roundMetrics, type ClientUpdate } from '@zk0/strategy';
import type { OpenBlobs, OpenTensors } from '../open-blobs.ts';
import { isLost, type AcceptedUpdate } from '../open-round.ts';
import { unmaskSum } from './unmask-sum.ts';

/** Where the sum of a round goes, and what it is of. */
export interface SumOptions {
  readonly files: OpenBlobs;
  readonly global: OpenTensors;
  /** For the file of the sum. */
  readonly path: string;
  readonly signal: AbortSignal;
}

/**
 * The mean of a round's masked updates, as one update of all their clients.
 *
 * @throws SecureAggregationError `SECURE_TOO_FEW` where one of them is lost: without it the masks of the others do not cancel.
 */
export async function sumOfRound(state: RunState, accepted: readonly AcceptedUpdate[], { files, global: { specs }, path, signal }: SumOptions): Promise<ClientUpdate> {
  const masked: OpenTensors[] = [];
  for (const { update } of accepted) {
    masked.push(
      await files.openVerified(update).catch((error: unknown) => {
        throw isLost(error) ? new SecureAggregationError('SECURE_TOO_FEW', `the server’s copy of an update in the sum is damaged or gone: ${error.message}`) : error;
      }),
    );
  }
  await unmaskSum(state, masked, specs, path, signal);
  const clients = accepted.length;
  const metrics = roundMetrics(accepted.map((update) => ({ numExamples: 1, metrics: update.metrics })), false);
  return { clientId: `the sum of ${clients} clients`, clients, numExamples: 1, metrics, kind: 'delta', tensors: await files.openFile(path) };
}
