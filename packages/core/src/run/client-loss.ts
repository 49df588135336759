import type { Metrics } from '../contracts/learner.ts';

/**
 * The loss that a client reports, wherever "client loss" is written: the policy's own, without the proximal term. That is what can be
 * compared between clients, rounds and strategies; `loss`, what the client minimised, contains FedProx's penalty as well. Of a client that
 * reports only `loss`, that is taken. `undefined` where it reports neither, as under differential privacy.
 */
export function clientLoss(metrics: Metrics): number | undefined {
  return metrics['policy_loss'] ?? metrics['loss'];
}
