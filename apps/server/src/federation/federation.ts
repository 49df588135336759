import { randomUUID } from 'node:crypto';
import { errorMessage, isFinal, runConfigSchema, Zk0Error, clientProfileSchema, type RunConfig, type RunState } from '@zk0/core';
import type { Logger, RootLogger } from '@zk0/logger';
import type { BlobStore } from '@zk0/storage';
import type { JoinMessage, JoinReply, JsonObject, ProgressMessage, ResultReply, Task, TaskResult, TransportHandler } from '@zk0/transport';
import { ClientRegistry } from './client-registry.ts';
import { EventFeed } from './event-feed.ts';
import type { FeedEvent } from './feed-event.ts';
import type { Journal } from './journal.ts';
import type { RoundTask } from './round-plan.ts';
import { checkRunConfig } from './run-context.ts';
import { RoundWork } from './round-work.ts';
import { RunDriver } from './run-driver.ts';
import { describeRun } from './status.ts';
import { TaskBoard } from './task-board.ts';
import { UpdateDesk } from './update-desk.ts';

/** A client that has not been heard of for so long is offline. */
const CLIENT_SILENCE_MS = 60_000;

/** What a federation is made of. */
export interface FederationOptions {
  readonly journal: Journal;
  readonly blobs: BlobStore;
  readonly log: Logger;
  /** Where a run's outputs go, and the log that is kept there. */
  readonly openRun: (runId: string) => { readonly directory: string; readonly log: RootLogger };
  /** Scratch space on the blobs' file system. */
  readonly scratchDirectory: string;
  readonly cacheDirectory: string;
  readonly device: string;
  /** Element type of matrix products, or `auto`. */
  readonly precision?: string;
  readonly threads?: number;
}

/**
 * The server's side of a federation: who is there, which runs there are, and the one run that is being driven.
 * Implements what the transport calls; everything durable goes through the journal.
 */
export class Federation implements TransportHandler {
  readonly #options: FederationOptions;
  readonly #board = new TaskBoard<RoundTask>();
  readonly #feed = new EventFeed<FeedEvent>();
  readonly #clients: ClientRegistry;
  readonly #queue: string[] = [];
  readonly #expiry: NodeJS.Timeout;
  #driving: Promise<void> = Promise.resolve();
  #driver: RunDriver | undefined;
  #desk: UpdateDesk | undefined;
  #wakeQueue: () => void = () => undefined;

  constructor(options: FederationOptions) {
    this.#options = options;
    this.#clients = new ClientRegistry({
      silenceMs: CLIENT_SILENCE_MS,
      onOffline: (clientId) => {
        options.log.warn(`client ${clientId} is gone`);
        this.#board.release(clientId);
      },
    });
    this.#clients.subscribe(() => this.#driver?.notify());
    this.#expiry = setInterval(() => {
      this.#clients.expire();
    }, CLIENT_SILENCE_MS / 12);
    this.#expiry.unref();
    for (const runId of options.journal.runIds()) {
      const state = options.journal.state(runId);
      if (state !== null && !isFinal(state)) this.#queue.push(runId);
    }
  }

  /** Drives one run after the other until `signal` aborts; unfinished runs stay in the journal for the next start. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const runId = this.#queue[0];
      if (runId === undefined) {
        await new Promise<void>((resolve) => {
          this.#wakeQueue = resolve;
          signal.addEventListener('abort', () => { resolve(); }, { once: true });
        });
        continue;
      }
      const driving = this.#drive(runId, signal);
      this.#driving = driving.then(() => undefined, () => undefined);
      if (isFinal(await driving)) this.#queue.shift();
    }
  }

  close(): void {
    clearInterval(this.#expiry);
    this.#feed.close();
  }

  // What clients call.

  join(message: JoinMessage): Promise<JoinReply> {
    const profile = clientProfileSchema.safeParse(message.profile);
    if (!profile.success) {
      return Promise.resolve({
        accepted: false,
        code: 'PROFILE_INVALID',
        message: `the client's description of itself cannot be used: ${profile.error.issues[0]?.message ?? 'unknown'}`,
        hint: 'Run the same zk0 release on both sides.',
      });
    }
    const { clientId, name, agent } = message;
    this.#clients.join({ clientId, name, agent, profile: profile.data });
    const { dataset } = profile.data;
    this.#options.log.info(`client ${clientId} joined: ${dataset.name}, ${dataset.episodes} episodes, ${dataset.frames} frames`);
    return Promise.resolve({ accepted: true });
  }

  async poll(clientId: string, signal: AbortSignal): Promise<Task | null> {
    if (!this.#clients.seen(clientId, { state: 'idle' })) throw notJoined(clientId);
    const taken = await this.#board.take(clientId, signal);
    if (taken === null) return null;
    const { task } = taken;
    this.#clients.seen(clientId, { state: 'working', round: task.round, phase: 'starting', step: 0, totalSteps: 0 });
    return task;
  }

  progress(message: ProgressMessage): Promise<{ continue: boolean }> {
    const { clientId, taskId, phase, step, totalSteps, loss } = message;
    const task = this.#board.current(clientId)?.task;
    if (task?.taskId !== taskId) {
      this.#clients.seen(clientId);
      return Promise.resolve({ continue: false });
    }
    const progress = { round: task.round, phase, step, totalSteps, ...(loss === undefined ? {} : { loss }) };
    if (!this.#clients.seen(clientId, { state: 'working', ...progress })) throw notJoined(clientId);
    this.#feed.publish({ kind: 'client-progress', runId: task.runId, clientId, ...progress });
    return Promise.resolve({ continue: true });
  }

  async result(result: TaskResult & { readonly clientId: string }): Promise<ResultReply> {
    this.#clients.seen(result.clientId, { state: 'idle' });
    const driver = this.#driver;
    if (driver?.state.runId !== result.runId || this.#desk === undefined) {
      return { status: 'late', message: `run ${result.runId} is not running` };
    }
    return this.#desk.settle(result);
  }

  leave(clientId: string): Promise<void> {
    this.#clients.leave(clientId);
    return Promise.resolve();
  }

  // What operators call.

  status(): Promise<JsonObject> {
    const clients = this.#clients.all().map(({ clientId, name, agent, profile, activity, lastSeen }) => ({
      clientId,
      name,
      agent,
      dataset: profile.dataset.name,
      frames: profile.dataset.frames,
      device: profile.device,
      ...activity,
      lastSeen: new Date(lastSeen).toISOString(),
    }));
    const runs = this.#options.journal.runIds().map((runId) => {
      const state = this.#driver?.state.runId === runId ? this.#driver.state : this.#options.journal.state(runId);
      return describeRun(state!);
    });
    return Promise.resolve({ clients, runs, current: this.#driver?.state.runId ?? null });
  }

  submitRun(input: JsonObject): Promise<{ runId: string }> {
    const parsed = runConfigSchema.safeParse(input);
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      throw new Zk0Error('RUN_CONFIG_INVALID', `run configuration: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`, {
        hint: 'See `zk0-server run --help` for what a run takes.',
      });
    }
    return Promise.resolve({ runId: this.submit(parsed.data) });
  }

  /**
   * Queues a run.
   *
   * @throws Zk0Error when the configuration could only fail later.
   */
  submit(config: RunConfig): string {
    checkRunConfig(config);
    const runId = `${new Date().toISOString().slice(0, 19).replaceAll(':', '-').replace('T', '_')}_${randomUUID().slice(0, 8)}`;
    this.#options.journal.append(runId, { type: 'run-created', runId, config }, new Date());
    this.#queue.push(runId);
    this.#options.log.info(`run ${runId}: ${config.rounds} rounds of ${config.policy}`);
    this.#wakeQueue();
    return runId;
  }

  stopRun(runId?: string): Promise<{ runId: string }> {
    const wanted = runId ?? this.#driver?.state.runId;
    if (wanted !== undefined && this.#driver?.state.runId === wanted) {
      this.#driver.stop('stopped by the operator');
      return Promise.resolve({ runId: wanted });
    }
    const waiting = wanted === undefined ? -1 : this.#queue.indexOf(wanted);
    if (waiting < 0) {
      throw new Zk0Error('RUN_UNKNOWN', wanted === undefined ? 'no run is running' : `run ${wanted} is not running`, {
        hint: 'See `zk0-server status`.',
      });
    }
    this.#queue.splice(waiting, 1);
    this.#options.journal.append(wanted!, { type: 'run-stopped', reason: 'stopped before it started' }, new Date());
    return Promise.resolve({ runId: wanted! });
  }

  async *events(runId: string | undefined, signal: AbortSignal): AsyncGenerator<JsonObject> {
    for await (const event of this.follow(runId, signal)) yield JSON.parse(JSON.stringify(event)) as JsonObject;
  }

  /** Events from now on, of one run or all, until `signal` aborts or the server closes. */
  follow(runId: string | undefined, signal: AbortSignal): AsyncGenerator<FeedEvent> {
    return this.#feed.subscribe((event) => runId === undefined || event.runId === runId, signal);
  }

  /** Resolves when so many clients are there, or `signal` aborts. */
  joined(count: number, signal: AbortSignal): Promise<void> {
    return this.#clients.joined(count, signal);
  }

  /** Resolves when no run is being driven. */
  idle(): Promise<void> {
    return this.#driving;
  }

  async #drive(runId: string, signal: AbortSignal): Promise<RunState> {
    const { journal, openRun } = this.#options;
    const { directory, log } = openRun(runId);
    const work = new RoundWork({
      ...this.#options,
      log,
      runId,
      clients: this.#clients,
      board: this.#board,
      directory,
      startedAt: journal.entries(runId)[0]!.at,
      onProgress: (progress) => {
        this.#feed.publish({ kind: 'server-progress', runId, ...progress });
      },
    });
    const driver = new RunDriver({
      runId,
      journal,
      work,
      onEvent: (event, at) => {
        this.#feed.publish({ kind: 'run', runId, at: at.toISOString(), event });
      },
    });
    this.#driver = driver;
    this.#desk = new UpdateDesk({ driver, work, log });
    try {
      const state = await driver.run(signal);
      log.info(`run ${runId}: ${state.phase}${state.ending === undefined ? '' : ` (${state.ending.message})`}`);
      return state;
    } catch (error) {
      log.error(`run ${runId}: ${errorMessage(error)}`, { error });
      throw error;
    } finally {
      this.#driver = undefined;
      this.#desk = undefined;
      await log.close();
    }
  }
}

function notJoined(clientId: string): Zk0Error {
  return new Zk0Error('NOT_JOINED', `client ${clientId} has not joined this server`, { hint: 'Join again; the server may have restarted.' });
}
