import { CancelledError, deriveSeed, InvalidArgumentError, type World, type WorldObservation } from '@zk0/core';
import { reportOf, type RolloutReport } from './report.ts';
import { runTrial, type Controller, type Trial } from './trial.ts';

const MAX_TRIALS = 100_000;

export interface RolloutOptions {
  /** One for each task and place; trials go round them in turn. */
  readonly worlds: readonly World[];
  readonly controller: Controller;
  readonly trials: number;
  /** Fixes layouts and noise. Layouts depend on nothing else, so that policies are tried in the same situations. */
  readonly seed: string | number;
  /** Stops between two actions; the trials finished until then are reported. */
  readonly signal?: AbortSignal;
  /** Called after every trial. */
  readonly onTrial?: (trial: Trial) => void | Promise<void>;
  /** Called before every action and at the end of a trial, with its number. */
  readonly onFrame?: (index: number, world: World, observation: WorldObservation) => void | Promise<void>;
}

/**
 * Tries a policy, or anything else that chooses actions, in worlds.
 *
 * @throws InvalidArgumentError for no worlds or a number of trials out of range; whatever world and controller throw
 */
export async function rollout(options: RolloutOptions): Promise<RolloutReport> {
  const { worlds, controller, trials, signal, onTrial, onFrame } = options;
  const seed = String(options.seed);
  if (worlds.length === 0) throw new InvalidArgumentError('a roll-out needs at least one world');
  if (!Number.isInteger(trials) || trials < 1 || trials > MAX_TRIALS) {
    throw new InvalidArgumentError(`trials is ${trials}; it must be a whole number from 1 to ${MAX_TRIALS}`);
  }
  const results: Trial[] = [];
  const isStopped = (): boolean => signal?.aborted === true;
  for (let index = 0; index < trials && !isStopped(); index++) {
    const world = worlds[index % worlds.length]!;
    const trialSeed = deriveSeed('rollout', seed, world.info.name, world.info.place ?? '', Math.floor(index / worlds.length));
    try {
      const trial = await runTrial(world, controller, index, trialSeed, {
        ...(signal === undefined ? {} : { signal }),
        ...(onFrame === undefined ? {} : { onFrame: (observation) => onFrame(index, world, observation) }),
      });
      results.push(trial);
      await onTrial?.(trial);
    } catch (error) {
      if (!(error instanceof CancelledError) || !isStopped()) throw error;
    }
  }
  return reportOf(results, trials, seed);
}
