import type { TrialFailure, World, WorldObservation } from '@zk0/core';

/** An action, or undefined where the arm has nothing more to do. */
export type Action = ArrayLike<number> | undefined;

/**
 * Chooses the next action in one trial. Those of trials that run side by side are asked for in one turn of the event loop, so that a
 * controller can answer them together.
 */
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
  /** The largest share of the task that was done at once, 0 … 1, where the world's task has parts. */
  readonly score?: number;
}

/** A trial in progress. */
export class RunningTrial {
  readonly index: number;
  readonly world: World;
  readonly #seed: string;
  readonly #act: Act;
  #steps = 0;
  #clamped = 0;
  #failure: TrialFailure | null = null;
  #isOver: boolean;

  private constructor(world: World, index: number, seed: string, act: Act) {
    this.world = world;
    this.index = index;
    this.#seed = seed;
    this.#act = act;
    this.#isOver = world.success();
  }

  /** Resets a world, which nothing else may use until the trial is over. */
  static async begin(world: World, controller: Controller, index: number, seed: string): Promise<RunningTrial> {
    await world.reset(seed);
    return new RunningTrial(world, index, seed, await controller(seed, world));
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** What the controller answers to what the robot perceives. */
  choose(observation: WorldObservation): Action | Promise<Action> {
    return this.#act(observation);
  }

  /** Has the robot carry an action out. */
  async carryOut(action: Action): Promise<void> {
    if (action === undefined) {
      this.#isOver = true;
      return;
    }
    if (!Array.from(action).every(Number.isFinite)) {
      this.#failure = 'not-finite';
      this.#isOver = true;
      return;
    }
    if ((await this.world.act(action)).clamped) this.#clamped++;
    this.#steps++;
    this.#isOver = this.world.success() || this.#steps >= this.world.info.maxSteps;
  }

  /** What has become of it, once it is over. */
  result(): Trial {
    const { name, place, fps } = this.world.info;
    const success = this.#failure === null && this.world.success();
    return {
      index: this.index,
      world: name,
      place: place ?? null,
      seed: this.#seed,
      success,
      failure: success ? null : (this.#failure ?? this.world.failure()),
      steps: this.#steps,
      seconds: this.#steps / fps,
      clamped: this.#clamped,
      ...(this.world.score === undefined ? {} : { score: this.world.score() }),
    };
  }
}
