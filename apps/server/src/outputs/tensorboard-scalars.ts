import { aggregatedMetrics, namedMetrics } from './reports.ts';
import type { RoundRecord } from './types.ts';

/** A round as TensorBoard tags: `server/…`, `aggregated/…`, `client_metric/<id>`, so that clients share one plot group. */
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
    for (const [name, value] of Object.entries(namedMetrics(client.metrics))) scalars[`client_${name}/${client.clientId}`] = value;
  }
  return scalars;
}
