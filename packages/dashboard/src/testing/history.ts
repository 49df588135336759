import type { RunEvent } from '@zk0/core';
import { runConfigSchema, type RunConfigInput } from '@zk0/core';
import { runChange } from '../model/run-change.ts';
import type { PageEvent } from '../model/events.ts';
import { reduceRun } from '../model/reduce-run.ts';
import type { RunView } from '../model/view.ts';

export const HASH = 'ab'.repeat(32);
/** When every history of these tests begins. */
export const START = Date.UTC(2026, 0, 31, 12);

type RunEntry = Extract<PageEvent, { type: 'run' }>;

/** Writes a run's history as the page's events, a second apart unless a test says otherwise. */
export class History {
  readonly entries: RunEntry[] = [];
  readonly runId: string;
  at = START;

  constructor(runId = 'run-1') {
    this.runId = runId;
  }

  add(event: RunEvent, afterMs = 1000): this {
    this.at += afterMs;
    this.entries.push({ type: 'run', runId: this.runId, position: this.entries.length + 1, at: this.at, change: runChange(event) });
    return this;
  }

  created(config: RunConfigInput = {}): this {
    return this.add({ type: 'run-created', runId: this.runId, config: runConfigSchema.parse({ rounds: 3, ...config }) });
  }

  started(clients: readonly string[] = ['a', 'b']): this {
    const datasets = [...clients.map((clientId) => ({ role: 'train', clientId, name: `set-${clientId}` })), { role: 'held-out', name: 'others' }, 'none', null];
    return this.add({ type: 'run-started', parameters: { hash: HASH, byteLength: 1 }, context: { datasets }, clients: [...clients] }).evaluated(0, 1);
  }

  configured(round: number, clients: readonly string[] = ['a', 'b'], more: { readonly wanted?: number; readonly reasons?: string[] } = {}): this {
    const fit = { learningRate: 1e-4, proximalMu: 0.01, batchSize: 16 };
    return this.add({ type: 'round-configured', round, assignments: clients.map((clientId) => ({ clientId, instructions: { fit } })), ...more });
  }

  accepted(round: number, clientId: string, loss: number, afterMs = 1000): this {
    const metrics = { loss, policy_loss: loss, num_steps: 50, duration_s: 4, download_s: 1, upload_s: 0.5, bytes_up: 10, bytes_down: 20, param_update_norm: 0.3 };
    return this.add({ type: 'update-accepted', round, clientId, update: { hash: HASH, byteLength: 1 }, numExamples: 100, metrics }, afterMs);
  }

  closed(round: number, reason: 'all-in' | 'enough' | 'deadline' = 'all-in'): this {
    return this.add({ type: 'round-closed', round, reason });
  }

  aggregated(round: number, excluded: readonly string[] = [], cosines?: Record<string, number>): this {
    return this.add({
      type: 'round-aggregated', round, parameters: { hash: 'cd'.repeat(32), byteLength: 1 }, strategyState: null, strategyScalars: {},
      metrics: { param_update_norm: 0.5, dp_epsilon: 0.25 * round, dp_delta: 1e-5, dp_noise_multiplier: 1.5, dp_clipping_norm: 0.8 }, excluded: excluded.map((clientId) => ({ clientId, code: 'KRUM', reason: 'far from the others' })), ...(cosines !== undefined && { cosines }),
    });
  }

  evaluated(round: number, loss: number): this {
    return this.add({ type: 'round-evaluated', round, evaluation: { policyLoss: loss, totalSamples: 8, datasets: [{ name: 'others', policyLoss: loss, samples: 8, actionDim: 6 }] } });
  }

  checkpointed(round: number, path: string | null = null): this {
    return this.add({ type: 'round-checkpointed', round, path });
  }

  /** A whole round. */
  round(round: number, clients: readonly string[] = ['a', 'b'], path: string | null = null): this {
    this.configured(round, clients);
    for (const clientId of clients) this.accepted(round, clientId, 1 / round);
    return this.closed(round).aggregated(round).evaluated(round, 1 / (round + 1)).checkpointed(round, path);
  }

  /** The run after all of it. */
  get view(): RunView {
    return this.entries.reduce<RunView | null>(reduceRun, null)!;
  }
}
