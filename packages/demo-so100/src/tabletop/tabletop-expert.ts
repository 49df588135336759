import { Random } from '@zk0/core';
import { apply, type Vec3 } from '../arm/transform.ts';
import { clampToLimits, fromRecordedUnits, type JointAngles } from '../arm/so100.ts';
import type { Thing } from '../render/scene.ts';
import { scriptFor } from '../tasks/script.ts';
import { trajectory } from '../tasks/trajectory.ts';
import { UnsteadyHand } from '../world/unsteady-hand.ts';
import type { TabletopWorld } from './tabletop-world.ts';

/** Where in the box the cubes are let go, from its middle, metres. */
const SPOTS: readonly Vec3[] = [
  [0.03, 0.03, 0],
  [0.03, -0.03, 0],
  [-0.03, 0.03, 0],
  [-0.03, -0.03, 0],
];

/**
 * Puts one cube after the other into the box, as a person with a leader arm would: looks where the cubes lie, takes one, goes back
 * to rest and looks again. A cube that it has lost is taken again where it lies now.
 */
export class TabletopExpert {
  readonly #world: TabletopWorld;
  readonly #random: Random;
  readonly #hand: UnsteadyHand;
  readonly #rest: JointAngles;
  #plan: readonly JointAngles[] = [];
  #frame = 0;
  #picked = 0;

  /** Begins where the arm is now: call it after the world's `reset`. */
  constructor(world: TabletopWorld, seed: string) {
    this.#world = world;
    this.#random = new Random(seed);
    this.#hand = new UnsteadyHand(world, this.#random);
    this.#rest = clampToLimits(fromRecordedUnits(world.state()));
  }

  /** The next action, in recorded units; undefined when no cube is left outside the box. */
  next(): number[] | undefined {
    if (this.#frame >= this.#plan.length) {
      const cube = this.#nextCube();
      if (cube === undefined) return undefined;
      const spot = { ...this.#world.box(), pose: { ...this.#world.box().pose, origin: apply(this.#world.box().pose, SPOTS[this.#picked++ % SPOTS.length]!) } };
      this.#plan = trajectory(scriptFor({ kind: 'place', goal: spot }, cube, spot, this.#random), this.#rest, this.#world.info.fps);
      this.#frame = 0;
    }
    return this.#hand.follow(this.#plan[this.#frame++]!);
  }

  /** Of the cubes outside the box the one furthest to the right: nothing is then carried over another cube's place. */
  #nextCube(): Thing | undefined {
    const outside = this.#world.cubes().filter((_, index) => !this.#world.isInBox(index));
    return outside.sort((a, b) => a.pose.origin[1] - b.pose.origin[1])[0];
  }
}
