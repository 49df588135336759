import { deriveSeed, InvalidArgumentError, type World, type WorldObservation } from '@zk0/core';
import { reportOf, type RolloutReport } from './report.ts';
import { RunningTrial, type Controller, type Trial } from './trial.ts';

const MAX_TRIALS = 100_000;

export interface RolloutOptions {
  /**
   * Trials go round the tasks and places in turn, in the order in which these first occur. As many run side by side as there are
   * worlds; those of one task and place share its trials.
   */
  readonly worlds: readonly World[];
  readonly controller: Controller;
  readonly trials: number;
  /** Fixes layouts and noise. Layouts depend on nothing else, so that policies are tried in the same situations. */
  readonly seed: string | number;
  /** Numbers of the trials to run, from 0: to see again what has become of them. All of them by default. */
  readonly only?: readonly number[];
  /** Stops between two actions; the trials finished until then are reported. */
  readonly signal?: AbortSignal;
  /** Called after every trial. */
  readonly onTrial?: (trial: Trial) => void | Promise<void>;
  /** Called before every action and at the end of a trial, with its number; reading an observation's images renders them. */
  readonly onFrame?: (index: number, world: World, observation: WorldObservation) => void | Promise<void>;
}

/** A trial to come. */
interface Plan {
  readonly index: number;
  readonly seed: string;
}

/**
 * Tries a policy, or anything else that chooses actions, in worlds.
 *
 * @throws InvalidArgumentError for no worlds or a number of trials out of range; whatever world and controller throw
 */
export async function rollout(options: RolloutOptions): Promise<RolloutReport> {
  const { worlds, trials, only } = options;
  const seed = String(options.seed);
  if (worlds.length === 0) throw new InvalidArgumentError('a roll-out needs at least one world');
  if (!Number.isInteger(trials) || trials < 1 || trials > MAX_TRIALS) {
    throw new InvalidArgumentError(`trials is ${trials}; it must be a whole number from 1 to ${MAX_TRIALS}`);
  }
  const plans = planTrials(worlds, trials, seed, new Set(only ?? Array.from({ length: trials }, (_, index) => index)));
  const results: Trial[] = [];
  while (options.signal?.aborted !== true) {
    const started: RunningTrial[] = [];
    for (const world of worlds) {
      const plan = plans.get(kindOf(world))!.shift();
      if (plan !== undefined) started.push(await RunningTrial.begin(world, options.controller, plan.index, plan.seed));
    }
    if (started.length === 0) break;
    await runSideBySide(started, options, results);
  }
  return reportOf(results.sort((a, b) => a.index - b.index), trials, seed);
}

/** What is to be done in worlds of each kind, in order. */
function planTrials(worlds: readonly World[], trials: number, seed: string, wanted: ReadonlySet<number>): Map<string, Plan[]> {
  const kinds = [...new Map(worlds.toReversed().map((world) => [kindOf(world), world.info])).entries()].reverse();
  const plans = new Map<string, Plan[]>(kinds.map(([kind]) => [kind, []]));
  for (let index = 0; index < trials; index++) {
    if (!wanted.has(index)) continue;
    const [kind, { name, place }] = kinds[index % kinds.length]!;
    plans.get(kind)!.push({ index, seed: deriveSeed('rollout', seed, name, place ?? '', Math.floor(index / kinds.length)) });
  }
  return plans;
}

/** Runs trials action by action, each in its own world, until all are over or the signal aborts; adds those that are over. */
async function runSideBySide(started: readonly RunningTrial[], { signal, onTrial, onFrame }: RolloutOptions, results: Trial[]): Promise<void> {
  const look = async (trial: RunningTrial): Promise<WorldObservation> => {
    const observation = trial.world.observe();
    await onFrame?.(trial.index, trial.world, observation);
    return observation;
  };
  let running = started;
  while (running.length > 0) {
    for (const trial of running) {
      if (!trial.isOver) continue;
      await look(trial);
      const result = trial.result();
      results.push(result);
      await onTrial?.(result);
    }
    running = running.filter(({ isOver }) => !isOver);
    if (signal?.aborted === true) return;
    const observations: WorldObservation[] = [];
    for (const trial of running) observations.push(await look(trial));
    const actions = await Promise.all(running.map(async (trial, lane) => trial.choose(observations[lane]!)));
    for (const [lane, trial] of running.entries()) await trial.carryOut(actions[lane]);
  }
}

function kindOf({ info: { name, place } }: World): string {
  return JSON.stringify([name, place ?? null]);
}
