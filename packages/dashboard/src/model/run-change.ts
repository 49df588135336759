import type { RunEvent } from '@zk0/core';
import type { RunChange } from './events.ts';
import type { ClientMetrics, RunView } from './view.ts';

type Json = Readonly<Record<string, unknown>>;

/** What the page needs to know of an entry of a run's history. */
export function runChange(event: RunEvent): RunChange {
  switch (event.type) {
    case 'run-created':
      return { type: 'created', runId: event.runId, config: JSON.parse(JSON.stringify(event.config)) as typeof event.config & Record<string, never> };
    case 'run-stop-requested':
      return { type: 'stop-requested', reason: event.reason };
    case 'run-paused':
      return { type: 'paused', reason: event.reason };
    case 'run-resumed':
      return { type: 'resumed', reason: event.reason };
    case 'client-excluded':
    case 'client-readmitted':
      return { type: event.type, clientId: event.clientId, reason: event.reason };
    case 'run-started':
      return { type: 'started', parameters: event.parameters.hash, datasets: datasetsOf(event.context) };
    case 'round-configured':
      return configured(event);
    case 'update-accepted':
      return { type: 'accepted', round: event.round, clientId: event.clientId, examples: event.numExamples, metrics: clientMetrics(event.metrics) };
    case 'update-refused':
      return { type: 'refused', round: event.round, clientId: event.clientId, reason: event.message };
    case 'participant-left':
      return { type: 'left', round: event.round, clientId: event.clientId };
    case 'participant-returned':
      return { type: 'returned', round: event.round, clientId: event.clientId };
    case 'secure-keys-advertised':
    case 'secure-shares-dealt':
    case 'secure-unmasked':
      return { type: 'step', round: event.round, clientId: event.clientId };
    case 'secure-stage-opened':
      return { type: 'stage', round: event.round, stage: event.stage, members: event.members };
    case 'round-closed':
      return { type: 'closed', round: event.round, reason: event.reason };
    case 'round-aggregated':
      return {
        type: 'aggregated',
        round: event.round,
        parameters: event.parameters.hash,
        ...optional({
          updateNorm: event.metrics['param_update_norm'],
          epsilon: event.metrics['dp_epsilon'],
          delta: event.metrics['dp_delta'],
          noiseMultiplier: event.metrics['dp_noise_multiplier'],
          clippingNorm: event.metrics['dp_clipping_norm'],
        }),
        excluded: event.excluded.map(({ clientId, reason }) => ({ clientId, reason })),
        cosines: event.cosines ?? {},
      };
    case 'round-evaluated': {
      const { evaluation } = event;
      if (evaluation === null) return { type: 'evaluated', round: event.round, evaluation: null };
      const { policyLoss: loss, totalSamples: samples } = evaluation;
      const datasets = evaluation.datasets.map(({ name, policyLoss, samples: count }) => ({ name, loss: policyLoss, samples: count }));
      return { type: 'evaluated', round: event.round, evaluation: { loss, samples, datasets } };
    }
    case 'round-checkpointed':
      return { type: 'checkpointed', round: event.round, path: event.path };
    case 'round-skipped':
      return { type: 'skipped', round: event.round, reason: event.reason };
    case 'run-finished':
      return { type: 'ended', phase: 'finished', ...optional({ message: event.early, checkpoint: event.checkpoint }) };
    case 'run-failed':
      return { type: 'ended', phase: 'failed', message: event.message };
    case 'run-stopped':
      return { type: 'ended', phase: 'stopped', message: event.reason };
  }
}

function configured(event: Extract<RunEvent, { type: 'round-configured' }>): RunChange {
  const fits = event.assignments.map(({ clientId, instructions }) => ({ clientId, fit: (instructions['fit'] ?? {}) as Json }));
  return {
    type: 'configured',
    round: event.round,
    assignments: fits.map(({ clientId, fit }) => ({ clientId, ...numbers({ learningRate: fit['learningRate'], proximalMu: fit['proximalMu'] }) })),
    ...numbers({ batchSize: fits[0]?.fit['batchSize'], wanted: event.wanted }),
    reasons: event.reasons ?? [],
  };
}

/** Who trains on what, and what is held out: the application's own, so each part may be something else. */
function datasetsOf(context: Json): RunView['datasets'] {
  const { datasets } = context;
  if (!Array.isArray(datasets)) return [];
  return (datasets as unknown[]).flatMap((entry) => {
    const { role, clientId, name } = (typeof entry === 'object' && entry !== null ? entry : {}) as Json;
    if (typeof role !== 'string' || typeof name !== 'string') return [];
    return [{ role, name, ...(typeof clientId === 'string' && { clientId }) }];
  });
}

function clientMetrics(metrics: Readonly<Record<string, number>>): ClientMetrics {
  return numbers({
    loss: metrics['loss'],
    policyLoss: metrics['policy_loss'],
    gradientNorm: metrics['grad_norm'],
    updateNorm: metrics['param_update_norm'],
    steps: metrics['num_steps'],
    downloadSeconds: metrics['download_s'],
    trainSeconds: metrics['duration_s'],
    uploadSeconds: metrics['upload_s'],
    bytesUp: metrics['bytes_up'],
    bytesDown: metrics['bytes_down'],
  });
}

function numbers<K extends string>(values: Readonly<Record<K, unknown>>): { readonly [name in K]?: number } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => typeof value === 'number')) as { readonly [name in K]?: number };
}

function optional<T extends object>(values: T): { readonly [name in keyof T]?: Exclude<T[name], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as { readonly [name in keyof T]?: Exclude<T[name], undefined> };
}
