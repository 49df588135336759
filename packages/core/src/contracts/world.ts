import type { CameraInfo, RgbImage } from './robot-dataset.ts';

/** What a world is, before anything happens in it. */
export interface WorldInfo {
  /** Short name for people and reports, e.g. `demo:cube-to-bowl`. */
  readonly name: string;
  /** Where in the world the task is done, when a world is one of several places; else undefined. */
  readonly place?: string;
  /** The instruction that a policy is given. */
  readonly task: string;
  readonly robotType: string;
  /** Actions per second. */
  readonly fps: number;
  /** A trial that has not succeeded after this many actions has failed. */
  readonly maxSteps: number;
  readonly stateNames: readonly string[];
  readonly actionNames: readonly string[];
  readonly cameras: readonly CameraInfo[];
  /** What somebody who compares its numbers with others' has to know, e.g. in what it differs from the task that it is named after. */
  readonly notes?: readonly string[];
}

/** What a robot perceives at one moment. */
export interface WorldObservation {
  /** `stateNames.length` values, in the units of the recordings. */
  readonly state: readonly number[];
  /** One image for each camera, by its key. A world may render them when they are first read. */
  readonly images: Readonly<Record<string, RgbImage>>;
  readonly task: string;
}

/**
 * How a trial without success ended.
 *
 * - `not-reached`: the hand never came near the thing.
 * - `not-grasped`: it came near and never had the thing in hand.
 * - `dropped`: the thing fell out of the hand.
 * - `wrong-place`: the thing was put down, or pushed, to where it does not belong.
 * - `timed-out`: the time was over before any of these.
 * - `not-finite`: the policy gave an action that is not a finite number.
 */
export type TrialFailure = 'not-reached' | 'not-grasped' | 'dropped' | 'wrong-place' | 'timed-out' | 'not-finite';

/** Every {@link TrialFailure}, in the order in which a task goes wrong. */
export const TRIAL_FAILURES: readonly TrialFailure[] = ['not-reached', 'not-grasped', 'dropped', 'wrong-place', 'timed-out', 'not-finite'];

/** What became of an action. */
export interface ActOutcome {
  /** Whether the action was beyond the robot's limits and was moved inside them. */
  readonly clamped: boolean;
}

/**
 * A world that a policy is tried in: simulated or real. One trial at a time: `reset`, then `observe` and `act` until
 * `success` or `maxSteps`.
 */
export interface World {
  readonly info: WorldInfo;
  /** Starts a new trial. The same seed gives the same start; a simulated world also answers the same actions alike. */
  reset(seed: string): Promise<void> | void;
  /** What the robot perceives now. Reading it changes nothing. */
  observe(): WorldObservation;
  /**
   * Has the robot act for one frame (1 / fps seconds).
   *
   * @param action `actionNames.length` values, in the units of the recordings
   * @throws InvalidArgumentError when the action has another length or is not finite
   */
  act(action: ArrayLike<number>): Promise<ActOutcome> | ActOutcome;
  /** Whether the task has been done in this trial; stays true until the next `reset`. */
  success(): boolean;
  /** The largest share of the task that was done at once in this trial, 0 … 1, where a task has parts. */
  score?(): number;
  /** Why the trial failed, were it to end now. Means nothing after success. */
  failure(): TrialFailure;
  close(): Promise<void> | void;
}
