import { CancelledError, type TrialFailure, type World, type WorldObservation } from '@zk0/core';

/** An action, or undefined where the arm has nothing more to do. */
export type Action = ArrayLike<number> | undefined;

/** Chooses the next action in one trial. */
export type Act = (observation: WorldObservation) => Action | Promise<Action>;

/** Begins a trial: everything random in it comes from `seed`. The world has been reset. */
export type Controller = (seed: string, world: World) => Act | Promise<Act>;

/** What became of one trial. */
export interface Trial {
  /** Counted from 0 over the whole roll-out. */
  readonly index: number;
  readonly world: string;
  readonly place: string | null;
  readonly seed: string;
  readonly success: boolean;
  /** null after a success. */
  readonly failure: TrialFailure | null;
  /** Actions until the trial ended. */
  readonly steps: number;
  /** The same in the world's own seconds. */
  readonly seconds: number;
  /** Actions that were beyond the robot's limits. */
  readonly clamped: number;
}

export interface TrialHooks {
  readonly signal?: AbortSignal;
  /** Called with what the robot perceives before every action and at the end; reading its images renders them. */
  readonly onFrame?: (observation: WorldObservation) => void | Promise<void>;
}

/**
 * Runs one trial in a world.
 *
 * @throws CancelledError when `signal` aborts: the trial is not finished and does not count
 */
export async function runTrial(world: World, controller: Controller, index: number, seed: string, hooks: TrialHooks = {}): Promise<Trial> {
  const { name, place, fps, maxSteps } = world.info;
  await world.reset(seed);
  const act = await controller(seed, world);
  let [steps, clamped] = [0, 0];
  let failure: TrialFailure | null = null;
  for (; steps < maxSteps && !world.success(); steps++) {
    if (hooks.signal?.aborted === true) throw new CancelledError('The roll-out');
    const observation = world.observe();
    await hooks.onFrame?.(observation);
    const action = await act(observation);
    if (action === undefined) break;
    if (!Array.from(action).every(Number.isFinite)) {
      failure = 'not-finite';
      break;
    }
    if ((await world.act(action)).clamped) clamped++;
  }
  await hooks.onFrame?.(world.observe());
  const success = failure === null && world.success();
  return {
    index,
    world: name,
    place: place ?? null,
    seed,
    success,
    failure: success ? null : (failure ?? world.failure()),
    steps,
    seconds: steps / fps,
    clamped,
  };
}
