import {
  allHeard,
  deriveSeed,
  errorMessage,
  evaluationSchema,
  isDue,
  isFinal,
  nextAction,
  type Evaluation,
  type NextAction,
  type RunEvent,
  type RunState,
} from '@zk0/core';
import { FederationError } from '../errors.ts';
import type { LedgerRun } from '../ledger/ledger.ts';
import { ChangeSignal } from './change-signal.ts';
import { closingEvent } from './closing-reason.ts';
import { namingClient } from './naming-client.ts';
import { outcomeOf } from './outcome.ts';
import { participation, roundDeadline } from './open-task.ts';
import { clientTask, openTasks } from './client-task.ts';
import type { RunWork, RunWorkOptions } from './run-work.ts';
import { dropouts, nextStageEvent } from './secure/stages.ts';

/** Pauses after rounds that got too few updates, in ms: the trouble of a client or of a network may pass. */
const SKIP_PAUSES_MS = [2000, 5000, 10_000, 20_000];
/** After so many skipped rounds in a row, going on is pointless; a shorter run has failed when no round had enough. */
const MAX_CONSECUTIVE_SKIPS = SKIP_PAUSES_MS.length + 1;
/** Pauses between attempts at something that this machine's trouble (a full disk) prevents, in ms. */
const RETRY_PAUSES_MS = [500, 1000, 2000, 5000, 10_000];
/** How long a round that lacks updates waits for a client that left to come back, in ms. */
const RETURN_GRACE_MS = 60_000;

/** What a driver needs from its surroundings. */
export interface RunDriverOptions extends RunWorkOptions {
  readonly work: RunWork;
  /** Says what the run waits for; `null` when it goes on. */
  readonly onWaiting: (reason: string | null) => void;
}

/**
 * Brings one run from wherever its history ends to its end: asks {@link nextAction} what comes next, does it, and records what happened.
 * Every step can be repeated after a crash, because nothing counts before its entry in the ledger.
 */
export class RunDriver {
  readonly #options: RunDriverOptions;
  readonly #change: ChangeSignal;
  #run: LedgerRun;
  #doing = new AbortController();
  #retries = 0;

  constructor(run: LedgerRun, options: RunDriverOptions) {
    this.#run = run;
    this.#options = options;
    this.#change = new ChangeSignal(options.clock);
  }

  get state(): RunState {
    return this.#run.state;
  }

  /** When each round was configured, the first at 0. */
  get configuredAt(): readonly Date[] {
    return this.#run.configuredAt;
  }

  /** Runs to the end, to where it is paused, or until `signal` aborts, which leaves the run as it stands for a later server to go on with. */
  async run(signal: AbortSignal): Promise<RunState> {
    const { ledger, runId, work } = this.#options;
    const unsubscribe = ledger.subscribe((entry, run) => {
      if (entry.runId !== runId) return;
      this.#run = run;
      if (entry.event.type === 'run-stop-requested') this.#doing.abort();
      this.#change.notify();
    });
    try {
      while (!isFinal(this.state) && nextAction(this.state).do !== 'rest' && !signal.aborted) await this.#step(signal);
    } finally {
      unsubscribe();
      await this.#options.queue.clear();
      await work.close();
      this.#change.close();
    }
    return this.state;
  }

  /** Resolves when the run can do nothing until a client does something or time passes, and when it is not driven any more. */
  idle(): Promise<void> {
    return this.#change.idle();
  }

  /** Something outside changed: a client came or went. */
  notify(): void {
    this.#change.notify();
  }

  /** A client said goodbye: an open round does not wait for it. */
  async clientLeft(clientId: string): Promise<void> {
    await this.#changeParticipation(clientId, 'assigned', 'participant-left');
    await this.#options.queue.withdraw(clientId);
  }

  /** A client is there again: if it left the open round, it gets its task back. */
  async clientReturned(clientId: string): Promise<void> {
    const isBack = await this.#changeParticipation(clientId, 'left', 'participant-returned');
    // An update that is in the sum stays in it; what takes its masks off is still wanted.
    if (!isBack && this.state.rounds.at(-1)?.secure?.stage !== 'unmask') return;
    const task = clientTask(this.state, clientId, this.#deadline());
    if (task !== null) await this.#options.queue.add(task);
  }

  async #changeParticipation(clientId: string, from: 'assigned' | 'left', type: 'participant-left' | 'participant-returned'): Promise<boolean> {
    const { ledger, runId } = this.#options;
    const isAffected = (state: RunState | null): state is RunState => state !== null && participation(state, clientId) === from;
    if (!isAffected(this.state)) return false;
    const { recorded } = await ledger.record(runId, (state) => (isAffected(state) ? { type, round: state.rounds.at(-1)!.round, clientId } : null));
    return recorded;
  }

  async #step(signal: AbortSignal): Promise<void> {
    const action = nextAction(this.state);
    this.#doing = new AbortController();
    const either = AbortSignal.any([signal, this.#doing.signal]);
    try {
      try {
        await this.#perform(action, either);
      } catch (error) {
        if (either.aborted) return;
        await this.#settleFailure(action, error, either);
      }
      this.#retries = 0;
    } catch (error) {
      // What this machine cannot do now it can do later; what the ledger itself cannot do ends the server, not the run.
      if (outcomeOf(error).kind !== 'retry') throw error;
      await this.#pause(error, either);
    }
  }

  /** Records what a failed effect means for the run. @throws the error again when it passes by itself */
  async #settleFailure(action: NextAction, error: unknown, signal: AbortSignal): Promise<void> {
    const { log, onWaiting } = this.#options;
    const outcome = outcomeOf(error);
    switch (outcome.kind) {
      case 'cancelled':
        return;
      case 'retry':
        throw error;
      case 'skip':
        if (action.do !== 'aggregate') return this.#fail(error, action);
        await this.#record(action, { type: 'round-skipped', round: action.round, reason: outcome.reason });
        return this.#checkProgress();
      case 'wait':
        onWaiting(outcome.reason);
        return this.#change.wait(this.#change.count, signal);
      case 'finish':
        log.info(`the run is complete: ${outcome.reason}`);
        return this.#finish(action, outcome.reason);
      case 'fail':
        if (error instanceof FederationError && error.code.startsWith('LEDGER_')) throw error;
        return this.#fail(error, action);
    }
  }

  async #pause(error: unknown, signal: AbortSignal): Promise<void> {
    const { clock, log, onWaiting } = this.#options;
    const pause = RETRY_PAUSES_MS[Math.min(this.#retries++, RETRY_PAUSES_MS.length - 1)]!;
    const message = errorMessage(error);
    if (this.#retries === 1) log.error(`${message}; the run waits and goes on by itself`, { error });
    onWaiting(message);
    await clock.sleep(pause, signal).catch(() => undefined);
  }

  async #perform(action: NextAction, signal: AbortSignal): Promise<void> {
    const { work, onWaiting } = this.#options;
    const { config } = this.state;
    const since = this.#change.count;
    const waitFor = (reason: string): Promise<void> => {
      onWaiting(reason);
      return this.#change.wait(since, signal);
    };
    switch (action.do) {
      case 'wait-for-clients': {
        const start = await work.start(this.state, signal);
        if ('waiting' in start) return waitFor(start.waiting);
        return this.#record(action, { type: 'run-started', ...start });
      }
      case 'evaluate-baseline':
        return this.#record(action, { type: 'round-evaluated', round: 0, evaluation: await this.#evaluate(0, signal) });
      case 'configure-round': {
        const readyAt = this.#readyAt();
        if (this.#options.clock.now() < readyAt) return this.#change.wait(since, signal, readyAt);
        const plan = await work.configure(this.state, action.round);
        if ('waiting' in plan) return waitFor(plan.waiting);
        return this.#record(action, { type: 'round-configured', round: action.round, ...plan });
      }
      case 'collect-updates':
        return this.#collect(action, signal);
      case 'aggregate':
        await this.#record(action, await work.aggregate(this.state, signal));
        return this.#checkProgress();
      case 'evaluate': {
        const due = isDue(action.round, config.evaluateEvery, config.rounds);
        const evaluation = due ? await this.#evaluate(action.round, signal) : null;
        return this.#record(action, { type: 'round-evaluated', round: action.round, evaluation });
      }
      case 'checkpoint': {
        const isTried = config.rollouts !== undefined && isDue(action.round, config.rollouts.every, config.rounds);
        const due = isTried || isDue(action.round, config.checkpointEvery, config.rounds);
        const path = due ? await work.saveCheckpoint(this.state, action.round) : null;
        await work.saveBest(this.state, action.round);
        return this.#record(action, { type: 'round-checkpointed', round: action.round, path });
      }
      case 'finish':
        return this.#finish(action, action.early);
      case 'stop':
        await work.saveLastCheckpoint(this.state);
        return this.#record(action, { type: 'run-stopped', reason: action.reason });
      case 'rest':
      case 'nothing':
    }
  }

  async #finish(action: NextAction, early?: string): Promise<void> {
    const checkpoint = await this.#options.work.saveLastCheckpoint(this.state);
    await this.#record(action, { type: 'run-finished', ...(checkpoint !== null && { checkpoint }), ...(early !== undefined && { early }) });
  }

  /** Records the event that an action led to, or leads to now, unless the run has moved on meanwhile. */
  async #record(action: NextAction, event: RunEvent | ((state: RunState) => RunEvent | null)): Promise<void> {
    const { ledger, runId } = this.#options;
    const { run } = await ledger.record(runId, (state) => {
      if (state === null || !isSameAction(nextAction(state), action)) return null;
      const chosen = typeof event === 'function' ? event(state) : event;
      return chosen !== null && givesBarredWork(state, chosen) ? null : chosen;
    });
    this.#run = run;
    this.#options.onWaiting(null);
  }

  async #evaluate(round: number, signal: AbortSignal): Promise<Evaluation | null> {
    const evaluation = await this.#options.work.evaluate(this.state, round, signal);
    const parsed = evaluationSchema.nullable().safeParse(evaluation);
    if (parsed.success) return parsed.data;
    throw new FederationError('EVALUATION_INVALID', `the evaluation of round ${round} gave no usable numbers (${parsed.error.issues[0]?.path.join('.') ?? ''})`, {
      hint: 'The training diverged: lower the learning rate, and start from the last checkpoint that evaluates.',
    });
  }

  async #collect(action: Extract<NextAction, { do: 'collect-updates' }>, signal: AbortSignal): Promise<void> {
    const { queue, clock } = this.#options;
    const deadline = this.#deadline();
    const stage = await this.#secureStage(action);
    await queue.publish(openTasks(this.state, deadline), this.state.config.maxParallel);
    try {
      while (!signal.aborted) {
        const since = this.#change.count;
        if (!isSameAction(nextAction(this.state), action)) return;
        const times = { now: clock.now(), deadline, graceEnd: this.#run.changedAt.getTime() + RETURN_GRACE_MS };
        const next = (state: RunState): RunEvent | null => (stage === null ? closingEvent(state, times) : nextStageEvent(state, { ...times, ...stage }));
        if (next(this.state) !== null) {
          const before = this.state;
          await this.#record(action, next);
          for (const line of dropouts(before, this.state)) this.#options.log.warn(line, { round: action.round });
          return;
        }
        const ends = [deadline, ...(stage === null ? [] : [stage.stageDeadline]), ...(allHeard(this.state.rounds.at(-1)!) ? [times.graceEnd] : [])];
        await this.#change.wait(since, signal, Math.min(...ends.filter((end) => end > times.now)));
      }
    } finally {
      // Who trains on between buffered rounds can ask for its task again.
      if (this.state.rounds.at(-1)?.buffered !== true) await queue.clear();
    }
  }

  /** What the stages of secure aggregation need beside the round's deadline; `null` in a round without. */
  async #secureStage({ stage }: Extract<NextAction, { do: 'collect-updates' }>): Promise<{ readonly stageDeadline: number; readonly graphSeed: string } | null> {
    const { config } = this.state;
    if (stage === undefined || config.secureAggregation === undefined) return null;
    const openedAt = this.#run.stageOpenedAt?.getTime() ?? this.#options.clock.now();
    // Whoever might collude cannot know before who will share masks with whom.
    const secret = await this.#options.ledger.secret(this.#options.runId);
    const graphSeed = deriveSeed(Buffer.from(secret).toString('hex'), 'secure-graph', this.state.rounds.at(-1)!.round);
    return { stageDeadline: openedAt + config.secureAggregation.stageSeconds * 1000, graphSeed };
  }

  #deadline(): number {
    return roundDeadline(this.#run, this.#options.clock.now());
  }

  /** After a skipped round the next one waits a moment: longer after each. */
  #readyAt(): number {
    const skips = consecutiveSkips(this.state);
    return skips === 0 ? 0 : this.#run.changedAt.getTime() + SKIP_PAUSES_MS[Math.min(skips, SKIP_PAUSES_MS.length) - 1]!;
  }

  async #checkProgress(): Promise<void> {
    const skips = consecutiveSkips(this.state);
    if (skips < Math.min(MAX_CONSECUTIVE_SKIPS, this.state.config.rounds)) return;
    const reasons = new Set(
      this.state.rounds.slice(-skips).flatMap(({ participants }) =>
        [...participants].flatMap(([clientId, { outcome }]) => (outcome.state === 'refused' ? [namingClient(clientId, outcome.message)] : [])),
      ),
    );
    const which = skips === 1 ? 'the only round' : `${skips} rounds in a row`;
    const why = reasons.size === 0 ? '' : ` (${[...reasons].slice(0, 3).join('; ')})`;
    await this.#fail(
      new FederationError('RUN_NO_PROGRESS', `${which} got too few updates${why}`, { hint: 'Read the clients’ logs, fix what they say, and start the run again.' }),
    );
  }

  /** Ends the run, unless another server has done meanwhile what failed here: then nothing is wrong with the run. */
  async #fail(error: unknown, action = nextAction(this.state)): Promise<void> {
    const { work, log, ledger, runId } = this.#options;
    const outcome = outcomeOf(error);
    const { code, message } = outcome.kind === 'fail' ? outcome : { code: 'INTERNAL', message: errorMessage(error) };
    const hasMovedOn = (state: RunState): boolean => state.stopRequested === undefined && !isSameAction(nextAction(state), action);
    const known = await ledger.refresh(runId);
    if (known !== null && hasMovedOn(known.state)) {
      log.warn(`${message}; another server drives the run, which goes on`, { error });
      this.#run = known;
      return;
    }
    log.error(`the run has failed: ${message}`, { error });
    await work.saveLastCheckpoint(this.state).catch((cause: unknown) => {
      log.warn(`no checkpoint of the newest finished round could be saved: ${errorMessage(cause)}`);
    });
    const { run } = await ledger.record(runId, (state) => (state === null || isFinal(state) || hasMovedOn(state) ? null : { type: 'run-failed', code, message }));
    this.#run = run;
  }
}

/** Whether a plan was made before one of its clients was excluded. */
function givesBarredWork({ barred }: RunState, event: RunEvent): boolean {
  return event.type === 'round-configured' && [...event.assignments, ...(event.buffered?.dropped ?? [])].some(({ clientId }) => barred.has(clientId));
}

function isSameAction(a: NextAction, b: NextAction): boolean {
  const [before, after] = [a, b].map((action) => ('round' in action ? [action.round, 'stage' in action ? action.stage : undefined] : []));
  return a.do === b.do && before!.join() === after!.join();
}

/** Rounds at the end of a run that were skipped one after the other. */
export function consecutiveSkips({ rounds }: RunState): number {
  const lastDone = rounds.findLastIndex(({ phase }) => phase !== 'skipped');
  return rounds.length - 1 - lastDone;
}

