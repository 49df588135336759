import type { ClientProfile, Normalizer } from '@zk0/core';
import { mergeMoments, normalizerFrom } from '@zk0/dataset-so100';

/**
 * The normaliser that all participants share: exact mean and standard deviation over everybody's recordings together,
 * from the moments that each client sent. Averaging the clients' own statistics, as if they were weights, would be wrong.
 */
export function commonNormalizer(datasets: readonly ClientProfile['dataset'][]): Normalizer {
  return normalizerFrom({
    state: mergeMoments(datasets.map(({ moments }) => moments.state)),
    action: mergeMoments(datasets.map(({ moments }) => moments.action)),
  });
}
