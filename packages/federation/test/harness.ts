import { join } from 'node:path';
import type { ClientPrincipal, RunState, Task, TaskResult } from '@zk0/core';
import type { BlobStore } from '@zk0/storage';
import { afterAll, afterEach } from 'vitest';
import {
  connectLocally,
  ControlStore,
  Coordinator,
  Ledger,
  OptimizerStore,
  Participant,
  ResidualStore,
  SecretStore,
  type CoordinatorOptions,
  type FederationConnection,
  type LedgerStore,
  type LocalModel,
  type LocalServer,
  type ParticipantStatus,
} from '../src/index.ts';
import { FakeClock, MemoryLedgerStore } from '../src/testing.ts';
import { Scratch, TwoNumbers, until } from './two-numbers.ts';

/** Leases that are always free: one server. */
export const freeLeases: CoordinatorOptions['leases'] = {
  acquire: (name, holder) => Promise.resolve({ name, holder, expiresAt: 0 }),
  release: () => Promise.resolve(),
};

/** Lines that were logged, by level. */
export class LogLines {
  readonly lines: string[] = [];
  readonly debug = (): void => undefined;
  readonly info = (message: string): void => void this.lines.push(`info ${message}`);
  readonly warn = (message: string): void => void this.lines.push(`warn ${message}`);
  readonly error = (message: string): void => void this.lines.push(`error ${message}`);

  matching(pattern: RegExp): string[] {
    return this.lines.filter((line) => pattern.test(line));
  }
}

let homes = 0;

/** A server and its clients in one process, with a clock that is moved by hand. */
export class TestFederation {
  readonly clock = new FakeClock();
  readonly log = new LogLines();
  readonly model = new TwoNumbers();
  readonly stop = new AbortController();
  readonly store: LedgerStore;
  readonly #scratch: Scratch;
  readonly #home = `home-${homes++}`;
  readonly #clients: Promise<unknown>[] = [];
  #serving: Promise<unknown> = Promise.resolve();
  ledger!: Ledger;
  coordinator!: Coordinator;
  blobs!: BlobStore;
  server: LocalServer | null = null;
  failure: unknown;

  /** Where the server computes. */
  get scratchDirectory(): string {
    return join(this.#scratch.path, this.#home, 'scratch');
  }

  /** Where a client keeps what it has. */
  homeOf(id: string): string {
    return join(this.#scratch.path, this.#home, id);
  }

  constructor(scratch: Scratch, store: LedgerStore = new MemoryLedgerStore()) {
    this.#scratch = scratch;
    this.store = store;
  }

  async start(options: Partial<CoordinatorOptions> & { readonly blobs?: BlobStore } = {}): Promise<this> {
    this.blobs = options.blobs ?? (await this.#scratch.blobs(join(this.#home, 'server')));
    this.ledger = await Ledger.open(this.store, this.clock);
    this.coordinator = new Coordinator({
      ledger: this.ledger,
      leases: freeLeases,
      blobs: this.blobs,
      model: this.model,
      scratchDirectory: this.scratchDirectory,
      clock: this.clock,
      log: this.log,
      ...options,
    });
    this.#serving = this.coordinator.run(this.stop.signal).catch((error: unknown) => (this.failure = error));
    this.server = { service: this.coordinator, blobs: this.blobs };
    return this;
  }

  /** Ends this server in good order; the ledger stays. */
  async restart(options: Partial<CoordinatorOptions> & { readonly blobs?: BlobStore } = {}): Promise<void> {
    this.server = null;
    this.coordinator.close();
    await this.#serving;
    await this.start(options);
  }

  /** A client that trains whenever it is asked. */
  async join(id: string, model: LocalModel, onStatus: (status: ParticipantStatus) => void = () => undefined, through: (line: FederationConnection) => FederationConnection = (line) => line): Promise<AbortController> {
    const blobs = await this.#scratch.blobs(join(this.#home, id));
    const leave = new AbortController();
    const participant = new Participant({
      connection: through(connectLocally(() => this.server, id)),
      model,
      blobs,
      controls: new ControlStore(join(this.homeOf(id), 'control'), id, blobs),
      optimizers: new OptimizerStore(join(this.homeOf(id), 'optimizer'), id),
      residuals: new ResidualStore(join(this.homeOf(id), 'residual'), id),
      secrets: new SecretStore(join(this.homeOf(id), 'secure'), id),
      name: id,
      agent: 'test',
      log: this.log,
      onStatus,
      clock: this.clock,
      limits: { maxLocalSteps: 1000, maxBatchSize: 64 },
    });
    this.#clients.push(participant.run(AbortSignal.any([leave.signal, this.stop.signal])));
    await until(() => this.coordinator.overview().then(({ clients }) => clients.some(({ clientId }) => clientId === id)), `${id} has joined`);
    return leave;
  }

  /** Does not wait for clients at the end: some of them play dead. */
  abandon(): void {
    this.#clients.length = 0;
  }

  async state(runId: string): Promise<RunState> {
    return (await this.ledger.run(runId))!.state;
  }

  /** Waits until a run is so. */
  async reaches(runId: string, condition: (state: RunState) => boolean, what = 'the run gets there'): Promise<RunState> {
    await until(async () => condition(await this.state(runId)), what);
    return this.state(runId);
  }

  async ends(runId: string): Promise<RunState> {
    return this.reaches(runId, ({ phase }) => phase === 'finished' || phase === 'failed' || phase === 'stopped', 'the run ends');
  }

  async close(): Promise<void> {
    this.stop.abort();
    this.coordinator.close();
    await Promise.all([this.#serving, ...this.#clients]);
  }
}

/** For a test file: its scratch folder, removed at its end, and what starts federations there, each closed after its test. */
export function testFederations(): {
  readonly scratch: Scratch;
  readonly federation: (options?: Partial<CoordinatorOptions> & { readonly blobs?: BlobStore }, store?: LedgerStore) => Promise<TestFederation>;
} {
  const scratch = new Scratch();
  const open: TestFederation[] = [];
  afterEach(async () => {
    await Promise.all(open.splice(0).map((federation) => federation.close()));
  });
  afterAll(() => {
    scratch.remove();
  });
  return {
    scratch,
    federation: (options, store) => {
      const made = new TestFederation(scratch, store);
      open.push(made);
      return made.start(options);
    },
  };
}

/** A client that the test plays itself, message by message. */
export class Puppet {
  readonly #federation: TestFederation;
  readonly principal: ClientPrincipal;

  constructor(federation: TestFederation, clientId: string, instance = clientId) {
    this.#federation = federation;
    this.principal = { role: 'client', clientId, instance };
  }

  async join(profile: Record<string, string | number> = {}): Promise<this> {
    const reply = await this.#federation.coordinator.join(this.principal, {
      name: this.principal.clientId,
      agent: 'test',
      profile: { name: this.principal.clientId, examples: 10, ...profile },
    });
    if (!reply.accepted) throw new Error(`${reply.code}: ${reply.message}`);
    return this;
  }

  async task(ms = 10_000): Promise<Task> {
    const task = await this.#federation.coordinator.poll(this.principal, AbortSignal.timeout(ms));
    if (task === null) throw new Error(`no task for ${this.principal.clientId}`);
    return task;
  }

  /** What it would answer with these bytes. */
  async answer(task: Task, bytes: Uint8Array, more: Partial<Extract<TaskResult['outcome'], { ok: true }>> = {}): Promise<TaskResult> {
    const update = await this.#federation.blobs.put(bytes);
    const { taskId, runId, round, attempt } = task;
    return { taskId, runId, round, attempt, outcome: { ok: true, update, numExamples: 10, metrics: { loss: 1 }, ...more } };
  }
}
