import { clientLoss } from '@zk0/core';
import { aggregatedMetrics, namedMetrics } from './reports.ts';
import { placeName } from './charts/success-chart.ts';
import type { RoundRecord, SuccessRecord } from './types.ts';

/**
 * A round as TensorBoard tags: `server/…`, `aggregated/…`, `client_metric/<id>`, so that clients share one plot group. `client_loss` is what is
 * called so everywhere, the policy's; what a client minimised is `client_objective`.
 */
export function scalarsOf(record: RoundRecord): Readonly<Record<string, number>> {
  const scalars: Record<string, number> = {};
  if (record.server !== null) {
    scalars['server/policy_loss'] = record.server.policyLoss;
    for (const dataset of record.server.datasets) scalars[`server_policy_loss/${dataset.name}`] = dataset.policyLoss;
  }
  if (record.round > 0) {
    for (const [name, value] of Object.entries(aggregatedMetrics(record))) scalars[`aggregated/${name}`] = value;
  }
  for (const client of record.clients) {
    const { loss: objective, policy_loss: policyLoss, ...others } = namedMetrics(client.metrics);
    const loss = clientLoss(client.metrics);
    if (loss !== undefined) scalars[`client_loss/${client.clientId}`] = loss;
    if (objective !== undefined && policyLoss !== undefined) scalars[`client_objective/${client.clientId}`] = objective;
    for (const [name, value] of Object.entries(others)) scalars[`client_${name}/${client.clientId}`] = value;
  }
  return scalars;
}

/** How often a policy did its tasks, from 0 to 1: `success/rate`, and `success_rate/<task and place>` for each. */
export function successScalars({ rate, places }: SuccessRecord): Readonly<Record<string, number>> {
  return { 'success/rate': rate, ...Object.fromEntries(places.map((place) => [`success_rate/${placeName(place)}`, place.rate])) };
}
