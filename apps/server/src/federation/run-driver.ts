import {
  allHeard,
  applyRunEvent,
  CancelledError,
  errorMessage,
  hasEnough,
  isDue,
  isFinal,
  nextAction,
  Zk0Error,
  type NextAction,
  type RoundState,
  type RunEvent,
  type RunState,
} from '@zk0/core';
import type { Journal } from './journal.ts';
import { namingClient } from './naming-client.ts';
import type { RoundWork } from './round-work.ts';
import { ChangeSignal } from './signal.ts';

/** Rounds with too few updates, after which going on is pointless; a shorter run has failed when it has none with enough. */
const MAX_CONSECUTIVE_SKIPS = 3;

/** What a driver needs from its surroundings. */
export interface RunDriverOptions {
  readonly runId: string;
  readonly journal: Journal;
  readonly work: RoundWork;
  /** Called after every event is journaled. */
  readonly onEvent: (event: RunEvent, at: Date) => void;
}

/**
 * Brings one run from wherever its journal ends to its end: asks {@link nextAction} what comes next, does it, and writes
 * what happened. Every step can be repeated after a crash, because nothing counts before its journal entry.
 */
export class RunDriver {
  readonly #options: RunDriverOptions;
  readonly #change = new ChangeSignal();
  #state: RunState;
  #roundConfiguredAt: number;
  #stopReason: string | undefined;

  constructor(options: RunDriverOptions) {
    this.#options = options;
    const entries = options.journal.entries(options.runId);
    let state: RunState | null = null;
    this.#roundConfiguredAt = Date.now();
    for (const { at, event } of entries) {
      state = applyRunEvent(state, event);
      if (event.type === 'round-configured') this.#roundConfiguredAt = at.getTime();
    }
    if (state === null) throw new Zk0Error('RUN_UNKNOWN', `run ${options.runId} is not in the journal`);
    this.#state = state;
  }

  get state(): RunState {
    return this.#state;
  }

  /**
   * Runs to the end, or until `signal` aborts, which leaves the run as it stands for a later server to go on with.
   *
   * @returns the final state, or the state at the abort.
   */
  async run(signal: AbortSignal): Promise<RunState> {
    const stop = new AbortController();
    const either = AbortSignal.any([signal, stop.signal]);
    this.#abortWork = () => {
      stop.abort();
    };
    try {
      while (!isFinal(this.#state) && !signal.aborted) {
        if (this.#stopReason !== undefined) {
          await this.#options.work.saveLastCheckpoint(this.#state);
          this.record({ type: 'run-stopped', reason: this.#stopReason });
          break;
        }
        try {
          await this.#perform(nextAction(this.#state), either);
        } catch (error) {
          if (either.aborted) continue;
          throw error;
        }
      }
    } catch (error) {
      if (!(error instanceof CancelledError)) await this.#fail(error);
    } finally {
      this.#options.work.withdrawTasks();
      await this.#options.work.close();
    }
    return this.#state;
  }

  /** Ends the run for good after what is being done now; finished rounds stand. */
  stop(reason: string): void {
    this.#stopReason ??= reason;
    this.#abortWork();
    this.#change.notify();
  }

  /** Something outside changed: a client came, an update was settled. */
  notify(): void {
    this.#change.notify();
  }

  /** Writes an event and moves the state. The journal has it before anything acts on it. */
  record(event: RunEvent): void {
    const next = applyRunEvent(this.#state, event);
    const at = new Date();
    this.#options.journal.append(this.#options.runId, event, at);
    this.#state = next;
    if (event.type === 'round-configured') this.#roundConfiguredAt = at.getTime();
    this.#options.onEvent(event, at);
    this.#change.notify();
  }

  #abortWork: () => void = () => undefined;

  async #perform(action: NextAction, signal: AbortSignal): Promise<void> {
    const { work } = this.#options;
    const { config } = this.#state;
    switch (action.do) {
      case 'wait-for-clients': {
        const start = await work.start(this.#state, signal);
        if (start === null) await this.#change.wait(signal);
        else this.record({ type: 'run-started', ...start });
        return;
      }
      case 'evaluate-baseline':
        this.record({ type: 'round-evaluated', round: 0, evaluation: await work.evaluate(this.#state, 0, signal) });
        await work.record(this.#state);
        return;
      case 'configure-round': {
        const plan = await work.configure(this.#state, action.round);
        if (plan === null) await this.#change.wait(signal);
        else this.record({ type: 'round-configured', round: action.round, ...plan });
        return;
      }
      case 'collect-updates':
        await this.#collect(this.#state.rounds.at(-1)!, signal);
        return;
      case 'aggregate':
        this.record(await work.aggregate(this.#state, signal));
        if (this.#state.rounds.at(-1)!.phase === 'skipped') await work.record(this.#state);
        this.#checkProgress();
        return;
      case 'evaluate': {
        const due = isDue(action.round, config.evaluateEvery, config.rounds);
        const evaluation = due ? await work.evaluate(this.#state, action.round, signal) : null;
        this.record({ type: 'round-evaluated', round: action.round, evaluation });
        return;
      }
      case 'checkpoint': {
        await work.record(this.#state);
        const due = isDue(action.round, config.checkpointEvery, config.rounds);
        const path = due ? await work.saveCheckpoint(this.#state, action.round) : null;
        this.record({ type: 'round-checkpointed', round: action.round, path });
        await work.collectGarbage(this.#state);
        return;
      }
      case 'finish': {
        const checkpoint = await work.saveLastCheckpoint(this.#state);
        this.record({ type: 'run-finished', ...(checkpoint === null ? {} : { checkpoint }) });
        return;
      }
      case 'nothing':
        return;
    }
  }

  async #collect(round: RoundState, signal: AbortSignal): Promise<void> {
    const { work } = this.#options;
    const deadline = this.#roundConfiguredAt + this.#state.config.roundDeadlineSeconds * 1000;
    work.publishTasks(this.#state, round, deadline);
    while (!signal.aborted) {
      const current = this.#state.rounds.at(-1)!;
      if (allHeard(current)) {
        this.record({ type: 'round-closed', round: round.round, reason: 'all-in' });
        break;
      }
      if (hasEnough(current)) {
        this.record({ type: 'round-closed', round: round.round, reason: 'enough' });
        break;
      }
      if (Date.now() >= deadline) {
        this.record({ type: 'round-closed', round: round.round, reason: 'deadline' });
        break;
      }
      await this.#change.wait(signal, deadline);
    }
    work.withdrawTasks();
  }

  #checkProgress(): void {
    const recent = this.#state.rounds.slice(-MAX_CONSECUTIVE_SKIPS);
    if (recent.length < Math.min(MAX_CONSECUTIVE_SKIPS, this.#state.config.rounds)) return;
    if (!recent.every(({ phase }) => phase === 'skipped')) return;
    const reasons = new Set(
      recent.flatMap(({ participants }) =>
        [...participants].flatMap(([clientId, { outcome }]) =>
          outcome.state === 'refused' ? [namingClient(clientId, outcome.message)] : [],
        ),
      ),
    );
    throw new Zk0Error(
      'RUN_NO_PROGRESS',
      `${recent.length === 1 ? 'the only round' : `${recent.length} rounds in a row`} got too few updates${reasons.size === 0 ? '' : ` (${[...reasons].slice(0, 3).join('; ')})`}`,
      { hint: 'Read the clients’ logs, mend what they say, and start the run again.' },
    );
  }

  async #fail(error: unknown): Promise<void> {
    if (isFinal(this.#state)) return;
    await this.#options.work.saveLastCheckpoint(this.#state).catch(() => null);
    this.record({
      type: 'run-failed',
      code: error instanceof Zk0Error ? error.code : 'INTERNAL',
      message: errorMessage(error),
    });
  }
}
