import { Random } from '@zk0/core';
import { clampToLimits, fromRecordedUnits, type JointAngles } from '../arm/so100.ts';
import { scriptFor } from '../tasks/script.ts';
import { trajectory } from '../tasks/trajectory.ts';
import type { DemoWorld } from './demo-world.ts';
import { UnsteadyHand } from './unsteady-hand.ts';

/**
 * Does a task as a person with a leader arm would: sees where things lie at the start, moves smoothly from step to step,
 * trembles a little, and leads by what the servos droop under load.
 */
export class Expert {
  readonly #hand: UnsteadyHand;
  readonly #plan: readonly JointAngles[];
  #frame = 0;

  /** Plans from what lies on the table now: call it after the world's `reset`. */
  constructor(world: DemoWorld, seed: string) {
    const random = new Random(seed);
    const { action } = world.task;
    const [target, second] = world.things();
    const goal = action.kind === 'place' ? second : undefined;
    const rest = clampToLimits(fromRecordedUnits(world.state()));
    this.#plan = trajectory(scriptFor(action, target!, goal, random), rest, world.info.fps);
    this.#hand = new UnsteadyHand(world, random);
  }

  /** Frames from rest to rest. */
  get length(): number {
    return this.#plan.length;
  }

  /** The next action, in recorded units; undefined after the last. */
  next(): number[] | undefined {
    const command = this.#plan[this.#frame++];
    return command === undefined ? undefined : this.#hand.follow(command);
  }
}
