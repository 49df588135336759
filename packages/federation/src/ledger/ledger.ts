import { applyRunEvent, errorMessage, IllegalTransitionError, runEventSchema, Zk0Error, type RunEvent, type RunState } from '@zk0/core';
import { systemClock, type Clock } from '../clock.ts';
import { FederationError } from '../errors.ts';
import type { LedgerStore, StoredEntry, StoredRun } from './ledger-store.ts';
import { isOpen, runSummarySchema, summarize, unreadable, type RunSummary } from './run-summary.ts';

/** One thing that happened to a run. */
export interface LedgerEntry {
  readonly runId: string;
  readonly position: number;
  readonly at: Date;
  readonly event: RunEvent;
}

/** A run as its history leaves it. */
export interface LedgerRun {
  readonly state: RunState;
  /** Entries in its history. */
  readonly length: number;
  /** When its first entry was written. */
  readonly createdAt: Date;
  /** When the newest round was configured, which its deadline counts from; absent before the first. */
  readonly roundConfiguredAt?: Date;
  /** When the newest round, or the newest stage of its secure aggregation, began. */
  readonly stageOpenedAt?: Date;
  /** When each round was configured, the first at 0: the deadlines of tasks count from it. */
  readonly configuredAt: readonly Date[];
  /** When the newest entry was written. */
  readonly changedAt: Date;
}

/** Chooses the event for the state that a run has at this moment; `null` when there is nothing to record after all. */
export type EventChoice = (state: RunState | null) => RunEvent | null;

/** Open runs are kept in memory; ended ones are read again when somebody asks. */
const MAX_ATTEMPTS = 100;
/** Entries that are decoded without a pause: a few milliseconds. */
const HISTORY_SLICE = 200;

/**
 * The one door for what happens to runs. An event is checked against its schema, applied to the run's state, encoded, decoded again
 * and compared, and only then appended, with the run's summary, in one transaction. So whatever is in the ledger can be read back, and
 * the state is always the fold of the history.
 *
 * Several processes may write to one store: an append that meets another's entry reads it, and chooses its event anew.
 */
export class Ledger {
  readonly #store: LedgerStore;
  readonly #clock: Clock;
  readonly #open = new Map<string, LedgerRun>();
  /** Runs that this process has seen end. */
  readonly #ended = new Set<string>();
  /** One record at a time for each run. */
  readonly #tails = new Map<string, Promise<unknown>>();
  readonly #listeners = new Set<(entry: LedgerEntry, run: LedgerRun) => void>();

  private constructor(store: LedgerStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /**
   * Opens a ledger over a store. Runs that are not over are replayed; one whose history cannot be used is set aside, named in
   * {@link summaries} as `unreadable`, and the others go on.
   */
  static async open(store: LedgerStore, clock: Clock = systemClock): Promise<Ledger> {
    const ledger = new Ledger(store, clock);
    for (const stored of await store.runs()) {
      const summary = summaryOf(stored);
      if (summary === null || isOpen(summary)) await ledger.#load(stored.runId, stored);
    }
    return ledger;
  }

  /** Every run in a few values, oldest first: one read, however long the histories are. */
  async summaries(): Promise<RunSummary[]> {
    return (await this.#store.runs()).map((stored) => summaryOf(stored) ?? unreadable(stored.runId, 'its summary is damaged'));
  }

  /** Runs that are not over, oldest first. */
  async openRuns(): Promise<string[]> {
    return (await this.summaries()).filter(isOpen).map(({ runId }) => runId);
  }

  /** Runs that there is something to do for, oldest first: the queue. One that is paused lets those after it go first. */
  async dueRuns(): Promise<string[]> {
    return (await this.summaries()).filter((run) => isOpen(run) && !run.isResting).map(({ runId }) => runId);
  }

  /**
   * A run as it stands; `null` when there is none.
   *
   * @throws FederationError `RUN_UNREADABLE`
   */
  async run(runId: string): Promise<LedgerRun | null> {
    const known = this.#open.get(runId);
    if (known !== undefined) return known;
    const stored = await this.#store.run(runId);
    if (stored === null) return null;
    const run = await this.#load(runId, stored);
    if (run === null) throw new FederationError('RUN_UNREADABLE', `run ${runId}: ${(await this.#store.run(runId))?.error ?? 'unreadable'}`);
    return run;
  }

  /**
   * A run as the store has it now: what another process has written is read first. Whoever takes over a run that others may have driven
   * begins with it, and so does whoever removes what no run needs.
   *
   * @throws FederationError `RUN_UNREADABLE`
   */
  refresh(runId: string): Promise<LedgerRun | null> {
    return this.#inTurn(runId, async () => {
      const known = this.#open.get(runId);
      if (known !== undefined) await this.#catchUp(runId, known);
      return this.run(runId);
    });
  }

  /**
   * A run as its first entries leave it, however many it has by now.
   *
   * @throws FederationError `RUN_UNKNOWN` when it does not have so many; `RUN_UNREADABLE`
   */
  async stateAt(runId: string, position: number): Promise<RunState> {
    const known = this.#open.get(runId);
    const run = known?.length === position ? known : await this.refresh(runId);
    if (run?.length === position) return run.state;
    if (run === null || run.length < position) throw new FederationError('RUN_UNKNOWN', `run ${runId} does not have ${position} entries`);
    let state: RunState | null = null;
    for (const entry of await this.entries(runId)) if (entry.position <= position) state = applyRunEvent(state, entry.event);
    return state!;
  }

  /** Runs that are open, as far as this process knows. */
  known(): readonly string[] {
    return [...this.#open.keys()];
  }

  /** Whether this process has read so many entries of a run, or knows that it has ended. */
  hasRead(runId: string, position: number): boolean {
    return this.#ended.has(runId) || (this.#open.get(runId)?.length ?? 0) >= position;
  }

  /** A run's history from a position on. @throws FederationError `RUN_UNREADABLE` */
  async entries(runId: string, from = 1): Promise<LedgerEntry[]> {
    return (await this.#store.entries(runId, from)).map((entry) => decodeEntry(runId, entry));
  }

  /**
   * A run's history, some entries at a time with pauses between, so that reading a long one holds nothing else up.
   *
   * @throws FederationError `RUN_UNREADABLE`
   */
  async *history(runId: string): AsyncGenerator<readonly LedgerEntry[]> {
    const stored = await this.#store.entries(runId, 1);
    for (let at = 0; at < stored.length; at += HISTORY_SLICE) {
      yield stored.slice(at, at + HISTORY_SLICE).map((entry) => decodeEntry(runId, entry));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** The run's 32 secret bytes (see {@link LedgerStore.secret}). */
  secret(runId: string): Promise<Uint8Array> {
    return this.#store.secret(runId);
  }

  /** Calls back after every entry that this process wrote, or read from another. */
  subscribe(listener: (entry: LedgerEntry, run: LedgerRun) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Records what happened. It is durable when the promise resolves.
   *
   * @param choose Is given the run's state at the moment of writing, again after another process was faster.
   * @returns the run afterwards, and whether an event was recorded.
   * @throws IllegalTransitionError when the event cannot happen now; FederationError `EVENT_INVALID` when it would not survive being
   * written and read back; what the store throws. Nothing has been recorded then.
   */
  record(runId: string, choose: RunEvent | EventChoice): Promise<{ readonly run: LedgerRun; readonly recorded: boolean }> {
    return this.#inTurn(runId, () => this.#record(runId, typeof choose === 'function' ? choose : () => choose));
  }

  /** Does one thing with a run after the other. */
  #inTurn<T>(runId: string, what: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(runId) ?? Promise.resolve();
    const work = before.then(what);
    const tail = work.then(() => undefined, () => undefined);
    this.#tails.set(runId, tail);
    void tail.then(() => {
      if (this.#tails.get(runId) === tail) this.#tails.delete(runId);
    });
    return work;
  }

  async #record(runId: string, choose: EventChoice): Promise<{ readonly run: LedgerRun; readonly recorded: boolean }> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const before = await this.run(runId);
      const chosen = choose(before?.state ?? null);
      if (chosen === null) {
        if (before === null) throw unknownRun(runId);
        return { run: before, recorded: false };
      }
      if (before === null && chosen.type !== 'run-created') throw unknownRun(runId);
      const { text, event } = asWritten(chosen);
      const state = applyRunEvent(before?.state ?? null, event);
      const entry = { position: (before?.length ?? 0) + 1, at: this.#clock.now(), event: text };
      if (await this.#store.append(runId, entry, JSON.stringify(summarize(state)))) {
        return { run: this.#applied(runId, before, state, entry.at, event), recorded: true };
      }
      await this.#catchUp(runId, before);
    }
    throw new FederationError('LEDGER_UNUSABLE', `run ${runId}: ${MAX_ATTEMPTS} writers in a row were faster`, { hint: 'Check that one server drives the run.' });
  }

  /** Reads what another process wrote. */
  async #catchUp(runId: string, before: LedgerRun | null): Promise<void> {
    let run = before;
    for (const { position, at, event } of await this.entries(runId, (before?.length ?? 0) + 1)) {
      run = this.#applied(runId, run, applyRunEvent(run?.state ?? null, event), at.getTime(), event);
      if (run.length !== position) throw new IllegalTransitionError(`run ${runId}: entry ${position} is out of order`);
    }
  }

  async #load(runId: string, stored: StoredRun): Promise<LedgerRun | null> {
    try {
      let run: LedgerRun | null = null;
      for (const { at, event } of await this.entries(runId)) run = fold(run, applyRunEvent(run?.state ?? null, event), at.getTime(), event);
      const written = stored.length === run?.length ? stored.length : ((await this.#store.run(runId))?.length ?? 0);
      if (run === null || run.length < stored.length || run.length > written) {
        throw new FederationError('RUN_UNREADABLE', `its history has ${run?.length ?? 0} of ${stored.length} entries`);
      }
      if (summaryOf(stored) === null) await this.#store.summarize(runId, JSON.stringify(summarize(run.state)));
      this.#keep(runId, run);
      return run;
    } catch (error) {
      // The store's own trouble passes or ends the server; it says nothing about this run.
      if (error instanceof Zk0Error && error.code !== 'RUN_UNREADABLE' && error.code !== 'RUN_ILLEGAL_TRANSITION') throw error;
      await this.#store.quarantine(runId, errorMessage(error));
      return null;
    }
  }

  #applied(runId: string, before: LedgerRun | null, state: RunState, at: number, event: RunEvent): LedgerRun {
    const run = fold(before, state, at, event);
    this.#keep(runId, run);
    for (const listener of this.#listeners) listener({ runId, position: run.length, at: new Date(at), event }, run);
    return run;
  }

  #keep(runId: string, run: LedgerRun): void {
    if (isOpen(run.state)) this.#open.set(runId, run);
    else if (this.#open.delete(runId)) this.#ended.add(runId);
  }
}

function fold(before: LedgerRun | null, state: RunState, at: number, event: RunEvent): LedgerRun {
  const earlier = before?.configuredAt ?? [];
  const configuredAt = event.type === 'round-configured' ? [...earlier, new Date(at)] : earlier;
  const newest = configuredAt.at(-1);
  const stageOpenedAt = event.type === 'round-configured' || event.type === 'secure-stage-opened' ? new Date(at) : before?.stageOpenedAt;
  return {
    state,
    length: (before?.length ?? 0) + 1,
    createdAt: before?.createdAt ?? new Date(at),
    ...(newest !== undefined && { roundConfiguredAt: newest }),
    ...(stageOpenedAt !== undefined && { stageOpenedAt }),
    configuredAt,
    changedAt: new Date(at),
  };
}

/** The event as text, and as whoever reads the text finds it: without the sign of a negative zero, which JSON has no word for. */
function asWritten(event: RunEvent): { readonly text: string; readonly event: RunEvent } {
  const parsed = runEventSchema.safeParse(event);
  const text = parsed.success ? JSON.stringify(parsed.data) : null;
  const read = text === null ? undefined : runEventSchema.safeParse(JSON.parse(text)).data;
  if (text !== null && read !== undefined && JSON.stringify(read) === text) return { text, event: read };
  const issue = parsed.success ? 'it would be read back as something else' : `${parsed.error.issues[0]?.path.join('.') ?? ''}: ${parsed.error.issues[0]?.message ?? 'invalid'}`;
  throw new FederationError('EVENT_INVALID', `a ${event.type} event cannot be recorded: ${issue}`, { hint: 'This is a defect of the program that made the event; report it.' });
}

function decodeEntry(runId: string, { position, at, event }: StoredEntry): LedgerEntry {
  try {
    return { runId, position, at: new Date(at), event: runEventSchema.parse(JSON.parse(event)) };
  } catch (cause) {
    throw new FederationError('RUN_UNREADABLE', `run ${runId}: entry ${position} of its history cannot be read`, {
      cause,
      hint: 'Restore the ledger from a backup, or start a new run from the last checkpoint.',
    });
  }
}

/** `null` when there is none yet (a ledger of an earlier release) or it cannot be read. */
function summaryOf({ runId, summary, error }: StoredRun): RunSummary | null {
  if (error !== null) return unreadable(runId, error);
  try {
    return runSummarySchema.parse(JSON.parse(summary));
  } catch {
    return null;
  }
}

function unknownRun(runId: string): FederationError {
  return new FederationError('RUN_UNKNOWN', `run ${runId} is not in the ledger`, { hint: 'List the runs with `status`.' });
}
