import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Random, runConfigSchema, type RunConfigInput, type RunEvent } from '@zk0/core';
import { createDashboard, type Dashboard, type DashboardSources } from '@zk0/dashboard';
import { changeRun, Ledger, type ClientStatus, type FederationEvent } from '@zk0/federation';
import { MemoryLedgerStore } from '@zk0/federation/testing';
import { openBlobStore } from '@zk0/storage';
import { createTransportServer, type TransportServer, type TransportServerOptions } from '@zk0/transport';
import { unusedService } from './unused-service.ts';

type Followed = (event: FederationEvent) => void;

const HASH = '0123456789abcdef'.repeat(4);

/**
 * The real page on the real transport, over a real ledger. Who is there and what clients report is scripted, so that a test has any
 * number of clients, any state, and any speed at once.
 */
export class ScriptedServer {
  readonly folder = mkdtempSync(join(tmpdir(), 'zk0-page-'));
  readonly store = new MemoryLedgerStore();
  readonly clients = new Map<string, ClientStatus>();
  readonly stopped: (string | undefined)[] = [];
  readonly submitted: unknown[] = [];
  /** The time that entries are written at; moved by hand. */
  now = Date.now();
  ledger!: Ledger;
  waiting: string | null = null;
  current: string | null = null;
  page!: Dashboard;
  #transport: TransportServer | undefined;
  #port = 0;
  #random = new Random(7);
  readonly #followers = new Set<Followed>();
  #options: Partial<TransportServerOptions> = {};
  #sources: Partial<DashboardSources> = {};

  get url(): string {
    return this.#transport!.url;
  }

  async start(options: Partial<TransportServerOptions> = {}, sources: Partial<DashboardSources> = {}): Promise<this> {
    this.#options = options;
    this.#sources = sources;
    this.ledger = await Ledger.open(this.store, { now: () => this.now, sleep: () => Promise.resolve() });
    this.page = createDashboard({ ledger: this.ledger, coordinator: this.#coordinator(), version: '0.1.0', ...sources });
    this.#transport = await createTransportServer({
      host: '127.0.0.1',
      port: this.#port,
      blobs: await openBlobStore(join(this.folder, 'blobs')),
      service: unusedService,
      page: this.page,
      ...options,
    });
    this.#port = this.#transport.port;
    return this;
  }

  /** As after `kill -9`: what was in memory is gone, the ledger stays. */
  async stop(): Promise<void> {
    this.page.close();
    await this.#transport?.close();
    this.#transport = undefined;
  }

  async restart(): Promise<void> {
    await this.start(this.#options, this.#sources);
  }

  async close(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async record(runId: string, event: RunEvent, afterMs = 0): Promise<void> {
    this.now += afterMs;
    await this.ledger.record(runId, event);
  }

  /** Something that is not recorded happens. */
  emit(event: FederationEvent): void {
    for (const follow of this.#followers) follow(event);
  }

  join(clientId: string, more: Partial<ClientStatus> & Readonly<Record<string, unknown>> = {}): void {
    this.clients.set(clientId, {
      clientId, name: clientId, agent: 'zk0/0.1.0', label: `so101-${clientId}`, numExamples: 12_000, state: 'idle', lastSeen: new Date(Date.now()).toISOString(), bytesUp: 0, bytesDown: 0,
      resources: { memoryBytes: 2_400_000_000 + 1_000_000 * this.clients.size, totalMemoryBytes: 32_000_000_000, ...(this.clients.size % 2 === 0 && { gpu: { name: 'NVIDIA GeForce RTX 4070', memoryBytes: 9_100_000_000, totalMemoryBytes: 12_800_000_000 } }) }, ...more,
    });
  }

  async submit(runId: string, config: RunConfigInput = {}): Promise<void> {
    const parsed = runConfigSchema.parse({ rounds: 20, heldOut: ['demo:ball-to-mat', 'demo:lift-can?seed=9'], checkpointEvery: 4, learningRate: 1e-4, batchSize: 16, ...config });
    await this.record(runId, { type: 'run-created', runId, config: parsed });
  }

  /** Starts a run and brings it so many rounds forward, all in the past. */
  async play(runId: string, rounds: number, clientIds: readonly string[], config: RunConfigInput = {}): Promise<void> {
    await this.submit(runId, config);
    const datasets = [...clientIds.map((clientId) => ({ role: 'train', clientId, name: `so101-${clientId}` })), { role: 'held-out', name: 'ball-to-mat' }];
    await this.record(runId, { type: 'run-started', parameters: { hash: HASH, byteLength: 1 }, context: { datasets }, clients: [...clientIds] }, 4000);
    await this.record(runId, { type: 'round-evaluated', round: 0, evaluation: evaluation(1.04, this.#random) }, 9000);
    for (let round = 1; round <= rounds; round++) await this.playRound(runId, round, clientIds);
  }

  async playRound(runId: string, round: number, clientIds: readonly string[]): Promise<void> {
    const random = this.#random;
    await this.configure(runId, round, clientIds);
    const order = [...clientIds].map((clientId) => ({ clientId, ms: 20_000 + 12_000 * random.uniform() })).sort((a, b) => a.ms - b.ms);
    let before = 0;
    for (const [index, { clientId, ms }] of order.entries()) {
      const late = index === order.length - 1 ? 9000 : 0;
      if (index === 3 && round % 3 === 0) {
        await this.record(runId, { type: 'update-refused', round, clientId, code: 'UPDATE_NON_FINITE', message: 'tensor lm_head.weight holds NaN' }, ms - before);
      } else {
        const loss = 0.35 + 0.75 * Math.exp(-round / 7) + 0.16 * random.uniform();
        const metrics = {
          loss, policy_loss: loss, grad_norm: 0.6, num_steps: 50, param_update_norm: 0.3 + 0.1 * random.uniform(), lr: 1e-4, mu: 0.01,
          duration_s: (ms + late) / 1000 - 5, download_s: 2.2, upload_s: 1.4, bytes_up: 96_000_000, bytes_down: 96_000_000,
        };
        await this.record(runId, { type: 'update-accepted', round, clientId, update: { hash: HASH, byteLength: 1 }, numExamples: 12_000, metrics }, ms - before + late);
      }
      before = ms;
    }
    await this.record(runId, { type: 'round-closed', round, reason: 'all-in' }, 20);
    const excluded = clientIds.length > 5 && round % 4 === 0 ? [{ clientId: order[0]!.clientId, code: 'KRUM', reason: 'its update was farthest from the others' }] : [];
    await this.record(runId, { type: 'round-aggregated', round, parameters: { hash: HASH.replaceAll('0', String(round % 10)), byteLength: 1 }, strategyState: null, strategyScalars: {}, metrics: { param_update_norm: 0.6 / Math.sqrt(round), ...this.#privacy(round) }, excluded, ...(!this.withPrivacy && { cosines: this.#cosines(round, clientIds) }) }, 1800);
    await this.record(runId, { type: 'round-evaluated', round, evaluation: evaluation(0.42 + 0.6 * Math.exp(-round / 6), random) }, 7000);
    const run = await this.ledger.run(runId);
    const { checkpointEvery, rounds } = run!.state.config;
    const saves = round % checkpointEvery === 0 || round === rounds;
    await this.record(runId, { type: 'round-checkpointed', round, path: saves ? `outputs/${runId}/models/checkpoint_round_${round}` : null }, 900);
  }

  #privacy(round: number): Readonly<Record<string, number>> {
    return this.withPrivacy ? { dp_epsilon: 0.9 * Math.sqrt(round), dp_delta: 1e-5, dp_noise_multiplier: 1.1, dp_clipping_norm: 0.8 } : {};
  }

  /** One client works against the others now and then. */
  #cosines(round: number, clientIds: readonly string[]): Record<string, number> {
    return Object.fromEntries(clientIds.map((clientId, index) => [clientId, index === 1 && round % 2 === 1 ? -0.31 : 0.55 + ((index * 7 + round) % 40) / 100]));
  }

  withPrivacy = false;

  async configure(runId: string, round: number, clientIds: readonly string[]): Promise<void> {
    const rate = round > 8 ? 5e-5 : 1e-4;
    const fit = { round, seed: 's', localSteps: 50, batchSize: 16, learningRate: rate, proximalMu: 0.01 };
    await this.record(runId, {
      type: 'round-configured',
      round,
      assignments: clientIds.map((clientId) => ({ clientId, instructions: { fit } })),
      ...(round === 9 && { reasons: ['round 8: improvement 0.8 % over 3 evaluations, ×0.5'] }),
    }, 300);
  }

  /** A client reports how far it is. */
  progress(runId: string, round: number, clientId: string, phase: string, step: number, totalSteps: number, loss?: number): void {
    const activity = { round, phase, step, totalSteps, ...(loss !== undefined && { loss }) };
    this.clients.set(clientId, { ...this.clients.get(clientId)!, state: 'working', lastSeen: new Date().toISOString(), ...activity });
    this.emit({ kind: 'client-progress', runId, clientId, ...activity });
  }

  #coordinator(): DashboardSources['coordinator'] {
    const followers = this.#followers;
    return {
      overview: async () => ({ clients: [...this.clients.values()], runs: await this.ledger.summaries(), current: this.current, waiting: this.waiting }),
      onClientsChanged: () => () => undefined,
      stop: async (reason, runId) => {
        this.stopped.push(runId);
        await this.record(runId!, { type: 'run-stop-requested', reason });
        return { runId: runId! };
      },
      changeRun: async ({ name }, change) => {
        const runId = change.runId!;
        await changeRun(this.ledger, runId, change, name, (clientId) => this.clients.has(clientId));
        return { runId };
      },
      submitRun: (_operator, config) => {
        this.submitted.push(config);
        return Promise.resolve({ runId: 'run-submitted' });
      },
      follow: async function* (_runId, signal) {
        const backlog: FederationEvent[] = [];
        let wake: () => void = () => undefined;
        const take: Followed = (event) => {
          backlog.push(event);
          wake();
        };
        followers.add(take);
        signal.addEventListener('abort', () => { wake(); }, { once: true });
        try {
          while (!signal.aborted) {
            const event = backlog.shift();
            if (event !== undefined) yield event;
            else await new Promise<void>((resolve) => (wake = resolve));
          }
        } finally {
          followers.delete(take);
        }
      },
    };
  }
}

function evaluation(loss: number, random: Random): Extract<RunEvent, { type: 'round-evaluated' }>['evaluation'] {
  const noisy = (value: number): number => value + 0.03 * random.uniform();
  const datasets = [
    { name: 'demo:ball-to-mat', policyLoss: noisy(loss * 1.08), samples: 64, actionDim: 6 },
    { name: 'demo:lift-can?seed=9', policyLoss: noisy(loss * 0.9), samples: 64, actionDim: 6 },
  ];
  return { policyLoss: (datasets[0]!.policyLoss + datasets[1]!.policyLoss) / 2, totalSamples: 128, datasets };
}
