import type { TrialFailure } from '@zk0/core';
import { apply, distance, invert, type Transform, type Vec3 } from '../arm/transform.ts';
import { GRASP_POINT } from '../arm/so100.ts';
import type { ThingContacts } from '../physics/simulation.ts';
import { heightOf, type Thing } from '../render/scene.ts';
import { DROP_HEIGHT, isStill, LIE_SECONDS, RAISED, REACHED } from '../tasks/judge.ts';
import { BOX_INSIDE } from './tabletop-task.ts';

/** One cube after a frame. */
export interface CubeSituation {
  readonly pose: Transform;
  readonly contacts: ThingContacts;
}

/** Decides how many cubes are in the box, whether all are there for good, and where a trial without success has failed. */
export class TabletopJudge {
  readonly #starts: readonly Thing[];
  readonly #box: Thing;
  readonly #frameSeconds: number;
  #last: readonly Transform[];
  #reached = false;
  /** The cube that was in the hand last, and how high it was. */
  #held: { readonly cube: number; readonly height: number } | undefined;
  #inHand = false;
  #inside: readonly boolean[];
  #most = 0;
  /** Seconds for which all cubes have lain in the box without a break. */
  #seconds = 0;
  #done = false;

  constructor(cubes: readonly Thing[], box: Thing, fps: number) {
    this.#starts = cubes;
    this.#box = box;
    this.#frameSeconds = 1 / fps;
    this.#last = cubes.map(({ pose }) => pose);
    this.#inside = cubes.map(() => false);
  }

  get done(): boolean {
    return this.#done;
  }

  /** The largest share of the cubes that was in the box at once. */
  get most(): number {
    return this.#most;
  }

  /** Takes what one more frame has brought. */
  observe(hand: Transform, cubes: readonly CubeSituation[]): void {
    const grasp = apply(hand, GRASP_POINT);
    let isSettled = true;
    this.#inHand = false;
    for (const [index, { pose, contacts }] of cubes.entries()) {
      const height = pose.origin[2] - this.#starts[index]!.pose.origin[2];
      this.#reached ||= contacts.arm || distance(grasp, this.#middle(index, pose)) < REACHED;
      if (contacts.fixedFinger && contacts.movingFinger && height > RAISED) {
        this.#held = { cube: index, height };
        this.#inHand = true;
      }
      if (contacts.arm || !isStill(this.#last[index]!, pose, this.#frameSeconds)) isSettled = false;
    }
    this.#last = cubes.map(({ pose }) => pose);
    this.#inside = cubes.map(({ pose }, index) => this.isInBox(index, pose));
    const count = this.#inside.filter(Boolean).length;
    this.#most = Math.max(this.#most, count / cubes.length);
    this.#seconds = isSettled && count === cubes.length ? this.#seconds + this.#frameSeconds : 0;
    if (this.#seconds >= LIE_SECONDS) this.#done = true;
  }

  /** Where a trial that ended without success went wrong: with the cube that was in the hand last. */
  failure(): TrialFailure {
    if (!this.#reached) return 'not-reached';
    if (this.#held === undefined) return 'not-grasped';
    if (this.#inHand || this.#inside[this.#held.cube]!) return 'timed-out';
    return this.#held.height > DROP_HEIGHT ? 'dropped' : 'wrong-place';
  }

  /** Whether the middle of a cube at `pose` is between the box's walls and below their rim. */
  isInBox(index: number, pose: Transform): boolean {
    const [x, y, z] = apply(invert(this.#box.pose), this.#middle(index, pose));
    return Math.abs(x) < BOX_INSIDE && Math.abs(y) < BOX_INSIDE && z > 0 && z < heightOf(this.#box.shape);
  }

  #middle(index: number, pose: Transform): Vec3 {
    return apply(pose, [0, 0, heightOf(this.#starts[index]!.shape) / 2]);
  }
}
