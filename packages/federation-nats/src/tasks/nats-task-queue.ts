import { randomUUID } from 'node:crypto';
import { errorMessage } from '@zk0/core';
import type { ClientTask, FederationLog, TaskQueue } from '@zk0/federation';
import type { Bucket } from '../nats/bucket.ts';
import { toToken } from '../nats/subject-token.ts';
import { CLIENT_PREFIX, ROUND_KEY, TaskView, type Round, type TaskEntry } from './task-view.ts';

/** Tasks that are written at the same time. */
const PARALLEL = 64;
/** After so long, tasks that another process replaced are published again: a server that lost its lease has noticed by then. */
const REPUBLISH_MS = 10_000;

/** How a queue is opened. */
export interface NatsTaskQueueOptions {
  readonly log: FederationLog;
  /** See {@link REPUBLISH_MS}. */
  readonly republishMs?: number;
}

/** Tasks that this process published and that nobody has withdrawn. */
interface Publication {
  readonly id: string;
  readonly tasks: Map<string, ClientTask>;
  readonly maxParallel: number;
}

/**
 * Open tasks in a key-value bucket: one key a client, and one that says which publication holds. Every process that watches the bucket can
 * hand them out. Where at most so many may be out at once, taking one is a change of that key by revision, which only one process wins.
 */
export class NatsTaskQueue implements TaskQueue {
  readonly #bucket: Bucket;
  readonly #view: TaskView;
  readonly #log: FederationLog;
  readonly #republishMs: number;
  readonly #owner = randomUUID();
  #own: Publication | null = null;
  #again: NodeJS.Timeout | undefined;
  /** Publications and their withdrawal, one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(bucket: Bucket, { log, republishMs = REPUBLISH_MS }: NatsTaskQueueOptions) {
    this.#bucket = bucket;
    this.#log = log;
    this.#republishMs = republishMs;
    this.#view = new TaskView(bucket, log);
    this.#view.onRound = (round) => { this.#replaced(round); };
  }

  async publish(tasks: readonly ClientTask[], maxParallel: number): Promise<void> {
    const own: Publication = { id: randomUUID(), tasks: new Map(tasks.map((task) => [task.clientId, task])), maxParallel };
    this.#own = own;
    await this.#inTurn(() => this.#write(own));
  }

  async add(task: ClientTask): Promise<void> {
    const own = this.#own;
    if (own === null || own.tasks.has(task.clientId)) return;
    own.tasks.set(task.clientId, task);
    await this.#view.reached(await this.#put(task.clientId, { publication: own.id, task: task.task }));
  }

  async take(clientId: string, signal: AbortSignal): Promise<ClientTask | null> {
    for (;;) {
      const changed = new AbortController();
      const change = this.#view.change(clientId, AbortSignal.any([signal, changed.signal]));
      try {
        const task = this.#view.task(clientId);
        if (task !== null && (await this.#reserve(clientId))) return task;
        if (signal.aborted) return null;
        await change;
      } finally {
        changed.abort();
      }
    }
  }

  current(clientId: string): Promise<ClientTask | null> {
    return Promise.resolve(this.#view.task(clientId));
  }

  async withdraw(clientId: string, taskId?: string): Promise<void> {
    const isMeant = (task: ClientTask | null | undefined): boolean => task != null && (taskId === undefined || task.task.taskId === taskId);
    const own = this.#own;
    if (isMeant(own?.tasks.get(clientId))) own!.tasks.delete(clientId);
    const publication = this.#view.round?.value.publication;
    // What this process has published since replaces the task that is shown.
    const isReplaced = taskId !== undefined && own !== null && own.id !== publication;
    if (publication == null || isReplaced || !isMeant(this.#view.task(clientId))) return;
    await this.#view.reached(await this.#put(clientId, { publication, task: null }));
    await this.release(clientId);
  }

  async release(clientId: string): Promise<void> {
    await this.#changeOut(({ out }) => (out.includes(clientId) ? out.filter((other) => other !== clientId) : null));
  }

  /** Withdraws what this process published. What cannot be withdrawn now is replaced by the next publication; until then it is late. */
  async clear(): Promise<void> {
    this.#own = null;
    clearTimeout(this.#again);
    try {
      await this.#inTurn(() => this.#withdrawOwn());
    } catch (error) {
      this.#log.warn(`tasks cannot be withdrawn at the moment: ${errorMessage(error)}`, { error });
    }
  }

  async close(): Promise<void> {
    clearTimeout(this.#again);
    await this.#view.close();
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #withdrawOwn(): Promise<void> {
    for (;;) {
      const round = this.#view.round;
      // What another process published is not this one's to withdraw, nor what this one has published meanwhile.
      if (round === null || round.value.owner !== this.#owner || round.value.publication === null || this.#own !== null) return;
      const revision = await this.#bucket.replace(ROUND_KEY, { ...round.value, publication: null, out: [] } satisfies Round, round.revision);
      await this.#view.reached(revision ?? round.revision + 1);
      if (revision !== null) return;
    }
  }

  async #write({ id, tasks, maxParallel }: Publication): Promise<void> {
    const all = [...tasks.values()];
    // A task that is among those of before goes on: whoever has it keeps its place.
    const out = (this.#view.round?.value.out ?? []).filter((clientId) => {
      const before = this.#view.task(clientId);
      return before !== null && before.task.taskId === tasks.get(clientId)?.task.taskId;
    });
    for (let begin = 0; begin < all.length; begin += PARALLEL) {
      await Promise.all(all.slice(begin, begin + PARALLEL).map(({ clientId, task }) => this.#put(clientId, { publication: id, task })));
    }
    await this.#view.reached(await this.#bucket.put(ROUND_KEY, { publication: id, owner: this.#owner, maxParallel, out } satisfies Round));
  }

  /** Whether the client's task may be out: it is already, or there is room for it, which nobody else has taken. */
  async #reserve(clientId: string): Promise<boolean> {
    const round = this.#view.round?.value;
    if (round === undefined) return false;
    if (round.maxParallel === 0 || round.out.includes(clientId)) return true;
    return this.#changeOut(({ out, maxParallel }) => (out.length < maxParallel ? [...out, clientId] : null), clientId);
  }

  /** Changes which tasks are out, unless `change` gives `null` for what the list is by then. */
  async #changeOut(change: (round: Round) => readonly string[] | null, clientId?: string): Promise<boolean> {
    for (;;) {
      const round = this.#view.round;
      if (round === null || (round.value.maxParallel === 0 && clientId === undefined)) return false;
      // Another process may have done meanwhile what was to be done.
      if (clientId !== undefined && (round.value.out.includes(clientId) || this.#view.task(clientId) === null)) return this.#view.task(clientId) !== null;
      const out = change(round.value);
      if (out === null) return false;
      const revision = await this.#bucket.replace(ROUND_KEY, { ...round.value, out: [...out] } satisfies Round, round.revision);
      await this.#view.reached(revision ?? round.revision + 1);
      if (revision !== null) return true;
    }
  }

  /** Another process has replaced what this one published: if this one still drives the round by then, its tasks are published again. */
  #replaced({ owner }: Round): void {
    clearTimeout(this.#again);
    const own = this.#own;
    if (own === null || owner === this.#owner) return;
    this.#again = setTimeout(() => {
      if (this.#own !== own) return;
      this.#log.warn('another server replaced the tasks of the round; they are published again');
      this.#inTurn(() => this.#own === own ? this.#write(own) : Promise.resolve()).catch((error: unknown) => {
        this.#log.warn(`tasks cannot be published at the moment: ${errorMessage(error)}`, { error });
        if (this.#own === own) this.#replaced({ publication: null, owner: '', maxParallel: 0, out: [] });
      });
    }, this.#republishMs);
    this.#again.unref();
  }

  #put(clientId: string, entry: TaskEntry): Promise<number> {
    return this.#bucket.put(`${CLIENT_PREFIX}${toToken(clientId)}`, entry);
  }
}
