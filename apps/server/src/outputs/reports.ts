import { clientLoss } from '@zk0/core';
import { roundTimeFields } from './round-times.ts';
import type { ClientRound, RoundRecord, RunInfo, ServerEvaluation } from './types.ts';

type Json = Readonly<Record<string, unknown>>;

/** `config.json`: what ran. */
export function configFile(info: RunInfo): Json {
  return {
    run_id: info.runId,
    started_at: info.startedAt.toISOString(),
    versions: info.versions,
    config: info.config,
    ...(info.resolved === undefined ? {} : { resolved: info.resolved }),
    ...(info.compute === undefined ? {} : { compute: info.compute }),
    ...(info.simulation === undefined ? {} : { simulation: info.simulation }),
    datasets: info.datasets.map((dataset) => ({
      role: dataset.role,
      ...(dataset.clientId === undefined ? {} : { client_id: dataset.clientId }),
      name: dataset.name,
      ...(dataset.commit === undefined ? {} : { commit: dataset.commit }),
      ...(dataset.uri === undefined ? {} : { uri: dataset.uri }),
      content_hash: dataset.contentHash,
      episodes: dataset.episodes,
      frames: dataset.frames,
    })),
    ...(info.context === undefined ? {} : { context: info.context }),
  };
}

/** Keys of times and durations by the server's clock. */
const TIME_FIELDS = ['started_at', 'ended_at', 'round_s', 'collect_s', 'aggregate_s', 'evaluate_s'];
/** Keys of the lines and files below; a metric of such a name would change what they say. */
const RESERVED = new Set(['type', 'round', 'client_id', 'dataset_name', 'num_examples', 'param_hash', 'skipped', 'missing', 'received_at', ...TIME_FIELDS]);
const METRIC_NAME = /^[a-z]\w{0,63}$/;

/** Metrics under proper names; clients choose theirs, and others are left out. */
export function namedMetrics(metrics: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(metrics).filter(([name]) => METRIC_NAME.test(name) && !RESERVED.has(name)));
}

/** `clients/client_<id>/round_N.json`. */
export function clientFile(round: number, client: ClientRound, receivedAt?: Date): Json {
  return {
    ...namedMetrics(client.metrics),
    round,
    client_id: client.clientId,
    dataset_name: client.datasetName,
    num_examples: client.numExamples,
    ...(receivedAt === undefined ? {} : { received_at: receivedAt.toISOString() }),
    ...(client.paramHash === undefined ? {} : { param_hash: client.paramHash }),
  };
}

/** `server/round_N_server_eval.json`. */
export function serverFile(round: number, evaluation: ServerEvaluation): Json {
  return {
    round,
    policy_loss: evaluation.policyLoss,
    ...(evaluation.standardError === undefined ? {} : { standard_error: evaluation.standardError }),
    action_dim: evaluation.datasets[0]?.actionDim ?? null,
    total_samples: evaluation.totalSamples,
    ...batchCounts(evaluation.datasets),
    datasets: evaluation.datasets.map((dataset) => ({
      name: dataset.name,
      policy_loss: dataset.policyLoss,
      ...(dataset.standardError === undefined ? {} : { standard_error: dataset.standardError }),
      action_dim: dataset.actionDim,
      total_samples: dataset.samples,
      ...batchCounts([dataset]),
    })),
  };
}

function batchCounts(datasets: ServerEvaluation['datasets']): Json {
  if (!datasets.every((dataset) => dataset.totalBatches !== undefined)) return {};
  return {
    successful_batches: sum(datasets.map((dataset) => dataset.successfulBatches ?? dataset.totalBatches ?? 0)),
    total_batches: sum(datasets.map((dataset) => dataset.totalBatches ?? 0)),
  };
}

/** `server/federated_metrics.json`: one entry a round. */
export function federatedMetrics(rounds: readonly RoundRecord[]): Json {
  return {
    best: bestOf(rounds),
    rounds: rounds.map((record) => ({
      ...aggregatedMetrics(record),
      round: record.round,
      ...(record.time === undefined ? {} : roundTimeFields(record.time)),
      server_policy_loss: record.server?.policyLoss ?? null,
      ...(record.paramHash === undefined ? {} : { param_hash: record.paramHash }),
      ...(record.skipped === undefined ? {} : { skipped: record.skipped }),
      missing: (record.missing ?? []).map(({ clientId, reason }) => ({ client_id: clientId, reason })),
    })),
  };
}

/** `server/eval_policy_loss_history.json`: held-out loss and every client's training loss, by round. */
export function lossHistory(rounds: readonly RoundRecord[]): Json {
  return Object.fromEntries(
    rounds.map((record) => [
      String(record.round),
      {
        server_policy_loss: record.server?.policyLoss ?? null,
        action_dim: record.server?.datasets[0]?.actionDim ?? null,
        clients: Object.fromEntries(record.clients.map((client) => [client.clientId, clientLoss(client.metrics) ?? null])),
      },
    ]),
  );
}

/** The round with the lowest held-out loss, the earliest of several: its checkpoint is `checkpoint_best`. `null` before an evaluation. */
export function bestOf(rounds: readonly RoundRecord[]): { readonly round: number; readonly server_policy_loss: number } | null {
  const evaluated = rounds.filter(({ round, server }) => round > 0 && server !== null && Number.isFinite(server.policyLoss));
  const [best] = evaluated.sort((a, b) => a.server!.policyLoss - b.server!.policyLoss || a.round - b.round);
  return best === undefined ? null : { round: best.round, server_policy_loss: best.server!.policyLoss };
}

/** What the strategy said of a round, and means and deviations over the clients that counted. */
export function aggregatedMetrics(record: RoundRecord): Readonly<Record<string, number>> {
  const over = (name: string): number[] =>
    record.clients.flatMap(({ metrics }) => (metrics[name] === undefined ? [] : [metrics[name]]));
  const losses = record.clients.flatMap(({ metrics }) => clientLoss(metrics) ?? []);
  const average = mean(losses);
  return {
    ...namedMetrics(record.aggregated),
    num_clients: record.clients.length,
    ...defined('avg_client_loss', average),
    ...defined('std_client_loss', average && Math.sqrt(mean(losses.map((loss) => (loss - average) ** 2)) ?? 0)),
    ...defined('avg_client_proximal_loss', mean(over('fedprox_loss'))),
    ...defined('avg_client_grad_norm', mean(over('grad_norm'))),
  };
}

function defined(name: string, value: number | undefined): Record<string, number> {
  return value === undefined ? {} : { [name]: value };
}

function mean(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : sum(values) / values.length;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
