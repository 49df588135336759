import { randomUUID } from 'node:crypto';
import {
  errorMessage,
  isFinal,
  Zk0Error,
  type BlobReference,
  type ClientPrincipal,
  type FederationService,
  type HeartbeatMessage,
  type HeartbeatReply,
  type JoinMessage,
  type JoinReply,
  type JsonObject,
  type OperatorChange,
  type OperatorPrincipal,
  type ReportMessage,
  type ResultReply,
  type RunConfig,
  type RunEvent,
  type Task,
  type TaskResult,
} from '@zk0/core';
import { isPassingStorageError } from '@zk0/storage';
import { closeAll } from './close-all.ts';
import { checkRun } from './check-strategy.ts';
import { ClientRegistry } from './clients/client-registry.ts';
import type { RegisteredClient } from './clients/registered-client.ts';
import { ClientLines } from './clients/client-lines.ts';
import { pause, systemClock, type Clock } from './clock.ts';
import type { CoordinatorOptions } from './coordinator-options.ts';
import { FederationError } from './errors.ts';
import { EventStream } from './events/event-stream.ts';
import type { FederationEvent } from './events/federation-event.ts';
import { withHistory } from './events/with-history.ts';
import { clientStatus, type FederationStatus } from './federation-status.ts';
import { followLedger } from './ledger/follow-ledger.ts';
import { isOpen } from './ledger/run-summary.ts';
import { HeldLease } from './leases/held-lease.ts';
import { silentLog, type FederationLog } from './log.ts';
import { changeRun } from './run/change-run.ts';
import { fitTaskSchema } from './run/instructions.ts';
import { openTask } from './run/open-task.ts';
import { ResultIntakes } from './run/result-intakes.ts';
import { RunSession } from './run/run-session.ts';
import { recordRun, runConfigOf } from './run/submit-run.ts';
import { MemoryTaskQueue } from './tasks/memory-task-queue.ts';
import type { TaskQueue } from './tasks/task-queue.ts';

/** A client that has not been heard for so long is offline, unless the server says otherwise. */
const CLIENT_SILENCE_MS = 60_000;
/** An update is at most so many times as large as the parameters. */
const MAX_UPDATE_RATIO = 1;
/** Room for a header that is longer than the parameters' own. */
const UPDATE_HEADER_BYTES = 2 ** 20;
const MAX_TEXT = 4000;
/** What may give a server that waits for a run something to do. */
const WAKING: ReadonlySet<RunEvent['type']> = new Set(['run-created', 'run-resumed', 'run-stop-requested']);

/**
 * The server's side of a federation: who is there, which runs there are, and the one run that is being driven. Everything durable goes
 * through the ledger; a coordinator that is killed at any instant and started again goes on where the ledger ends.
 */
export class Coordinator implements FederationService {
  readonly #options: CoordinatorOptions;
  readonly #clock: Clock;
  readonly #log: FederationLog;
  readonly #queue: TaskQueue;
  readonly #clients: ClientRegistry;
  readonly #lines: ClientLines;
  readonly #events = new EventStream<FederationEvent>();
  readonly #closing = new AbortController();
  readonly #lease: HeldLease;
  readonly #silenceMs: number;
  readonly #unsubscribe: () => void;
  readonly #intakes: ResultIntakes | undefined;
  #session: RunSession | undefined;
  #driving: Promise<void> = Promise.resolve();
  #wakeQueue: () => void = () => undefined;

  constructor(options: CoordinatorOptions) {
    const { ledger, leases, clock = systemClock, log = silentLog, queue = new MemoryTaskQueue(), holder = randomUUID(), clientSilenceMs = CLIENT_SILENCE_MS } = options;
    this.#silenceMs = clientSilenceMs;
    this.#options = options;
    this.#clock = clock;
    this.#log = log;
    this.#queue = queue;
    this.#lease = new HeldLease({ store: leases, name: 'coordinator', holder, clock, log });
    this.#lines = new ClientLines(clock, (line) => options.onClientLine?.(line, this.#session?.runId ?? null));
    this.#clients = new ClientRegistry({
      clock,
      silenceMs: clientSilenceMs,
      store: options.clients,
      ...(options.shared !== undefined && { server: holder }),
      log,
      onElsewhere: (client) => {
        this.#heardElsewhere(client).catch((error: unknown) => { log.warn(`what became of client ${client.clientId} is not recorded: ${errorMessage(error)}`, { error }); });
      },
      onForgotten: (clientId) => { this.#lines.forget(clientId); },
      onGone: ({ clientId, activity }) => {
        if (activity.state === 'left') log.info(`client ${clientId} has left`);
        else log.warn(`client ${clientId} has not been heard for ${clientSilenceMs / 1000} s`);
        queue.release(clientId).catch((error: unknown) => { log.warn(`client ${clientId} keeps its place for now: ${errorMessage(error)}`, { error }); });
      },
    });
    this.#clients.subscribe(() => this.#session?.driver.notify());
    if (options.shared !== undefined) this.#intakes = new ResultIntakes({ ...options, clients: this.#clients, queue, clock, log });
    this.#unsubscribe = ledger.subscribe((entry, run) => {
      this.#events.publish({ kind: 'run', runId: entry.runId, at: entry.at.toISOString(), event: entry.event });
      if (this.#session?.runId === entry.runId) this.#session.notify(entry, run);
      if (WAKING.has(entry.event.type)) this.#wakeQueue();
      if (entry.event.type === 'update-accepted') {
        const { bytes_up: up = 0, bytes_down: down = 0 } = entry.event.metrics;
        this.#clients.transferred(entry.event.clientId, up, down);
      }
    });
  }

  /**
   * Drives one run after the other until `signal` aborts or the coordinator closes; unfinished runs stay in the ledger for the next start.
   * While this machine's disk is full or fails, it says so once and tries again.
   *
   * @throws FederationError `LEDGER_UNUSABLE`: without a ledger nothing can go on.
   */
  async run(signal: AbortSignal): Promise<void> {
    const failed = new AbortController();
    const either = AbortSignal.any([signal, this.#closing.signal, failed.signal]);
    const expiring = this.#expireClients(either);
    const { shared, ledger } = this.#options;
    const unshare = this.#clients.share();
    const unfollow = shared === undefined ? undefined : followLedger({ ledger, store: shared.store, log: this.#log, onNew: () => { this.#wakeQueue(); } });
    let trouble: string | undefined;
    try {
      if (shared?.drives === false) await aborted(either);
      while (!either.aborted) {
        try {
          await this.#driveNext(either);
          trouble = undefined;
        } catch (error) {
          if (!isPassingStorageError(error)) throw error;
          const message = errorMessage(error);
          if (message !== trouble) this.#log.error(`${message}; it is tried again`, { error });
          trouble = message;
          await pause(this.#clock, this.#lease.intervalMs, either);
        }
      }
    } finally {
      failed.abort();
      const giveBack = shared?.drives === false ? [] : [() => this.#lease.release()];
      await closeAll(this.#log, [...giveBack, () => expiring, () => this.#clients.flush(), unshare, () => unfollow?.(), () => this.#intakes?.close()]);
    }
  }

  /** Ends every event stream and {@link run}. Runs in the ledger are not touched. */
  close(): void {
    this.#closing.abort();
    this.#unsubscribe();
    this.#events.close();
  }

  // What clients call.

  async join({ clientId, instance }: ClientPrincipal, { name, agent, profile }: JoinMessage): Promise<JoinReply> {
    try {
      const description = this.#options.model.describeClient(profile);
      this.#clients.join({ clientId, instance, name, agent, profile, ...description });
      this.#log.info(`client ${clientId} joined: ${description.label}, ${description.numExamples} examples`);
    } catch (error) {
      if (!(error instanceof Zk0Error)) throw error;
      this.#log.warn(`client ${clientId} was not let in: ${error.message}`);
      return { accepted: false, code: error.code, message: error.message.slice(0, MAX_TEXT), ...(error.hint !== undefined && { hint: error.hint }) };
    }
    await this.#session?.driver.clientReturned(clientId);
    return { accepted: true };
  }

  async poll(client: ClientPrincipal, signal: AbortSignal): Promise<Task | null> {
    this.#clients.seen(client, { state: 'idle' });
    const taken = await this.#queue.take(client.clientId, signal);
    if (taken === null) return null;
    const { task } = taken;
    this.#clients.seen(client, { state: 'working', round: task.round, phase: 'starting', step: 0, totalSteps: 0 });
    return task;
  }

  async heartbeat(client: ClientPrincipal, { progress }: HeartbeatMessage): Promise<HeartbeatReply> {
    const { clientId } = client;
    const misfit = this.#session?.misfit(clientId);
    const notice = misfit === undefined ? {} : { notice: misfit.slice(0, MAX_TEXT) };
    const task = progress === undefined ? null : await this.#openTask(clientId);
    if (progress === undefined || task?.taskId !== progress.taskId) {
      this.#clients.seen(client);
      return { continue: progress === undefined, ...notice };
    }
    const { phase, step, totalSteps, loss } = progress;
    const activity = { round: task.round, phase, step, totalSteps, ...(loss !== undefined && { loss }) };
    this.#clients.seen(client, { state: 'working', ...activity });
    this.#events.publish({ kind: 'client-progress', runId: task.runId, clientId, ...activity });
    return { continue: true, ...notice };
  }

  async result(client: ClientPrincipal, result: TaskResult): Promise<ResultReply> {
    this.#clients.seen(client, { state: 'idle' });
    if (this.#session?.runId === result.runId) return this.#session.intake.settle(client, result);
    if (this.#intakes !== undefined) return this.#intakes.settle(client, result);
    // Just started: the run is in the ledger, and not driven yet.
    if ((await this.#options.ledger.dueRuns()).includes(result.runId)) {
      throw new FederationError('BUSY', `run ${result.runId} is not being driven at the moment`, { hint: 'Try again in a moment.' });
    }
    return { status: 'late', message: `run ${result.runId} is not running` };
  }

  async leave(client: ClientPrincipal): Promise<void> {
    this.#clients.leave(client);
    await this.#session?.driver.clientLeft(client.clientId);
  }

  report(client: ClientPrincipal, { lines = [], leftOut, resources }: ReportMessage): Promise<void> {
    this.#clients.seen(client);
    if (resources !== undefined) this.#clients.uses(client.clientId, resources);
    this.#lines.report(client.clientId, lines, leftOut);
    return Promise.resolve();
  }

  async authorizeUpload(client: ClientPrincipal, blob: BlobReference): Promise<void> {
    this.#clients.seen(client);
    const task = await this.#openTask(client.clientId);
    if (task?.kind !== 'fit') throw forbidden(client, `may not upload ${blob.hash}`, 'it has no open task of training');
    const limit = MAX_UPDATE_RATIO * task.parameters.byteLength + UPDATE_HEADER_BYTES;
    if (blob.byteLength > limit) throw forbidden(client, `may not upload ${blob.byteLength} bytes`, `its task allows ${limit}`);
  }

  async authorizeDownload(client: ClientPrincipal, hash: string): Promise<void> {
    this.#clients.seen(client);
    const task = await this.#openTask(client.clientId);
    const instructions = task === null ? undefined : fitTaskSchema.safeParse(task.instructions).data;
    const allowed = [task?.parameters, instructions?.control?.server, instructions?.broadcast?.step?.encoded];
    if (allowed.some((blob) => blob?.hash === hash)) return;
    throw forbidden(client, `may not read ${hash}`, task === null ? 'it has no open task' : 'its task does not name it');
  }

  // What operators call.

  /** Who is there, every run in a few values, and what the current one waits for. */
  async overview(): Promise<FederationStatus> {
    const session = this.#session;
    const clients = this.#clients.all().map((client) => clientStatus(client, session?.misfit(client.clientId)));
    const runs = await this.#options.ledger.summaries();
    // Whoever does not drive knows which run is driven, and not what it waits for.
    const current = session?.runId ?? (this.#options.shared === undefined ? null : (runs.find((run) => isOpen(run) && !run.isResting)?.runId ?? null));
    return { clients, runs, current, waiting: session?.waiting ?? null };
  }

  async status(): Promise<JsonObject> {
    return toJson(await this.overview());
  }

  async submitRun(_operator: OperatorPrincipal, input: JsonObject): Promise<{ runId: string }> {
    return { runId: await this.submit(runConfigOf(input)) };
  }

  /**
   * Queues a run.
   *
   * @throws Zk0Error when the configuration could only fail later.
   */
  async submit(config: RunConfig): Promise<string> {
    checkRun(config);
    await this.#options.model.checkConfig?.(config);
    const runId = await recordRun(this.#options.ledger, config, this.#clock);
    this.#log.info(`run ${runId}: ${config.rounds} ${config.rounds === 1 ? 'round' : 'rounds'} of ${config.policy}`);
    return runId;
  }

  stopRun(operator: OperatorPrincipal, runId?: string): Promise<{ runId: string }> {
    return this.stop(`stopped by ${operator.name}`, runId);
  }

  async changeRun(operator: OperatorPrincipal, change: OperatorChange): Promise<{ runId: string }> {
    const runId = change.runId ?? (await this.#meantRun());
    await changeRun(this.#options.ledger, runId, change, operator.name, (clientId) => this.#clients.get(clientId) !== undefined);
    this.#log.info(`run ${runId}: ${change.change}${'clientId' in change ? ` client ${change.clientId}` : ''}, by ${operator.name}`);
    return { runId };
  }

  /** The run that is driven, else the one that waits to be resumed where there is one alone. */
  async #meantRun(): Promise<string> {
    if (this.#session !== undefined) return this.#session.runId;
    const [runId, ...others] = await this.#options.ledger.openRuns();
    if (runId === undefined) throw new FederationError('RUN_UNKNOWN', 'no run is running', { hint: 'See `zk0-server status`.' });
    if (others.length > 0) throw new FederationError('RUN_UNKNOWN', 'several runs are open', { hint: 'Name one; see `zk0-server status`.' });
    return runId;
  }

  /** Asks for the end of the run named, or of the one that is driven; stopping one that has ended changes nothing. */
  async stop(reason: string, named?: string): Promise<{ runId: string }> {
    const runId = named ?? (await this.#meantRun());
    await this.#options.ledger.record(runId, (state) =>
      state === null || isFinal(state) || state.stopRequested !== undefined ? null : { type: 'run-stop-requested', reason },
    );
    // One that waits for its turn has nothing to finish.
    await this.#options.ledger.record(runId, (state) =>
      state === null || isFinal(state) || state.phase !== 'waiting_for_clients' || this.#session?.runId === runId ? null : { type: 'run-stopped', reason },
    );
    return { runId };
  }

  async *events(runId: string | undefined, signal: AbortSignal, history = false): AsyncGenerator<JsonObject> {
    const events = history && runId !== undefined ? withHistory(this.#options.ledger, runId, this.follow(runId, signal)) : this.follow(runId, signal);
    for await (const event of events) yield toJson(event);
  }

  /** Events from now on, of one run or all, until `signal` aborts or the coordinator closes. */
  follow(runId: string | undefined, signal: AbortSignal): AsyncGenerator<FederationEvent> {
    return this.#events.subscribe((event) => runId === undefined || event.runId === runId, signal);
  }

  /** Calls back whenever a client joins, leaves, falls silent or comes back. Returns what ends that. */
  onClientsChanged(listener: () => void): () => void {
    return this.#clients.subscribe(listener);
  }

  /** Resolves when so many clients are there, or `signal` aborts. */
  joined(count: number, signal: AbortSignal): Promise<void> {
    return this.#clients.joined(count, signal);
  }

  /** Resolves when the run that is driven can do nothing until a client does something or time passes, and when none is driven. */
  async quiet(): Promise<void> {
    await this.#session?.driver.idle();
  }

  /** Resolves when the run that is driven now has ended, or is left as it stands. */
  idle(): Promise<void> {
    return this.#driving;
  }

  /** What a client has to do, as the ledger says: also in the moments after a restart in which no run is driven yet. */
  async #openTask(clientId: string): Promise<Task | null> {
    const { ledger, shared } = this.#options;
    if (shared !== undefined && this.#session === undefined) {
      const published = await this.#queue.current(clientId);
      if (published !== null) return published.task;
      // Between two drivers none is published; what this server has read of the ledger may be a moment old.
      for (const open of ledger.known()) await ledger.refresh(open);
    }
    const [runId] = this.#session === undefined ? await ledger.dueRuns() : [this.#session.runId];
    const run = runId === undefined ? null : await ledger.run(runId);
    return run === null ? null : openTask(run, clientId, this.#clock.now());
  }

  /** Drives the run whose turn it is, or waits a while for one. */
  async #driveNext(signal: AbortSignal): Promise<void> {
    const woken = new Promise<void>((resolve) => (this.#wakeQueue = resolve));
    const [runId] = (await this.#lease.acquire()) ? await this.#options.ledger.dueRuns() : [];
    if (runId === undefined) {
      await this.#idle(woken, signal);
      return;
    }
    const driving = this.#drive(runId, signal);
    this.#driving = driving.then(() => undefined, () => undefined);
    await driving;
  }

  async #drive(runId: string, signal: AbortSignal): Promise<void> {
    const { ledger, openRun } = this.#options;
    await this.#clients.restore();
    // Another server may have driven it meanwhile.
    const run = await ledger.refresh(runId);
    if (run === null || isFinal(run.state)) return;
    const session = new RunSession(run, {
      ...this.#options,
      opened: (await openRun?.(run)) ?? { log: this.#log, observers: [] },
      clients: this.#clients,
      queue: this.#queue,
      clock: this.#clock,
      onProgress: (progress) => {
        this.#events.publish({ kind: 'server-progress', runId, ...progress });
      },
      onWaiting: (reason) => {
        this.#events.publish({ kind: 'waiting', runId, reason });
      },
    });
    await this.#intakes?.forget(runId);
    const ended = new AbortController();
    const lease = this.#lease.keep(AbortSignal.any([signal, ended.signal]));
    this.#session = session;
    try {
      await session.drive(AbortSignal.any([signal, lease.lost]));
    } finally {
      this.#session = undefined;
      ended.abort();
      await closeAll(this.#log, [() => lease.ended, () => session.close()]);
    }
  }

  async #idle(woken: Promise<void>, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    await Promise.race([woken, pause(this.#clock, this.#lease.intervalMs, AbortSignal.any([signal, over.signal]))]);
    over.abort();
  }

  async #expireClients(signal: AbortSignal): Promise<void> {
    while (await pause(this.#clock, this.#silenceMs / 12, signal)) {
      this.#clients.expire();
      await this.#clients.beat();
    }
  }

  /** What another server has heard of a client concerns the run that this one drives. */
  async #heardElsewhere({ clientId, activity }: RegisteredClient): Promise<void> {
    const driver = this.#session?.driver;
    if (driver === undefined) return;
    if (activity.state === 'left') await driver.clientLeft(clientId);
    else if (activity.state === 'offline') await this.#queue.release(clientId);
    else await driver.clientReturned(clientId);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => { resolve(); }, { once: true });
  });
}

function toJson(value: unknown): JsonObject {
  return JSON.parse(JSON.stringify(value)) as JsonObject;
}

function forbidden({ clientId }: ClientPrincipal, what: string, why: string): FederationError {
  return new FederationError('FORBIDDEN', `client ${clientId} ${what}: ${why}`);
}
