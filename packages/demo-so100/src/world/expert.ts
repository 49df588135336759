import { Random } from '@zk0/core';
import { clampToLimits, fromRecordedUnits, quantize, toRecordedUnits, type JointAngles } from '../arm/so100.ts';
import { scriptFor } from '../tasks/script.ts';
import { trajectory } from '../tasks/trajectory.ts';
import type { DemoWorld } from './demo-world.ts';

/** A hand's unsteadiness on the leader arm: radians, and how much of it lasts for a tenth of a second. */
const WOBBLE = 0.005;
const WOBBLE_MEMORY = 0.8;

/**
 * Does a task as a person with a leader arm would: sees where things lie at the start, moves smoothly from step to step,
 * trembles a little, and leads by what the servos droop under load.
 */
export class Expert {
  readonly #world: DemoWorld;
  readonly #random: Random;
  readonly #plan: readonly JointAngles[];
  readonly #memory: number;
  #wobble = new Array<number>(6).fill(0);
  #frame = 0;

  /** Plans from what lies on the table now: call it after the world's `reset`. */
  constructor(world: DemoWorld, seed: string) {
    this.#world = world;
    this.#random = new Random(seed);
    const { action } = world.task;
    const [target, second] = world.things();
    const goal = action.kind === 'place' ? second : undefined;
    const rest = clampToLimits(fromRecordedUnits(world.state()));
    this.#plan = trajectory(scriptFor(action, target!, goal, this.#random), rest, world.info.fps);
    this.#memory = WOBBLE_MEMORY ** (10 / world.info.fps);
  }

  /** Frames from rest to rest. */
  get length(): number {
    return this.#plan.length;
  }

  /** The next action, in recorded units; undefined after the last. */
  next(): number[] | undefined {
    const command = this.#plan[this.#frame++];
    if (command === undefined) return undefined;
    const fresh = WOBBLE * Math.sqrt(1 - this.#memory ** 2);
    this.#wobble = this.#wobble.map((value) => this.#memory * value + fresh * this.#random.normal());
    const droop = this.#world.droop();
    const led = command.map((angle, joint) => angle + this.#wobble[joint]! + (joint === 5 ? 0 : droop[joint]!));
    return toRecordedUnits(quantize(clampToLimits(led as unknown as JointAngles)));
  }
}
