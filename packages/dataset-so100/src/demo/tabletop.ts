import { gripRadius, heightOf, type Thing } from './scene.ts';
import { PUSH_LENGTH, restingHeight } from './script.ts';
import { gripperOpeningFor } from './so100.ts';
import { apply, compose, distance, invert, type Transform, type Vec3 } from './transform.ts';

/** How near the grasp point has to be to a thing's middle to hold it, metres. */
const GRASP_RANGE = 0.022;
/** How far the gripper has to open beyond a thing's width to let go of it (0 … 100). */
const RELEASE_MARGIN = 3;
/** Half the width of the closed fingers, and the height above the table their tips reach, metres. */
const FINGER_RADIUS = 0.014;
const FINGER_TIP = 0.013;
/** Gripper opening below which the hand pushes instead of straddling (0 … 100). */
const FIST = 20;
/** Fall in one frame, metres: at video rates a short fall is over within a frame or two. */
const FALL = 0.06;

/** What holds and moves the things on the table: grasping, letting go, falling, being pushed. No dynamics. */
export class Tabletop {
  readonly #target: number;
  readonly #things: Thing[];
  /** The held thing's underside in the hand's frame. */
  #grip: Transform | undefined;
  #lastHand: Vec3 | undefined;

  /** `target` is the index of the one thing that can be moved. */
  constructor(things: readonly Thing[], target: number) {
    this.#things = [...things];
    this.#target = target;
  }

  get things(): readonly Thing[] {
    return this.#things;
  }

  get isHolding(): boolean {
    return this.#grip !== undefined;
  }

  /** The gripper cannot close further than the thing between its fingers. */
  get smallestOpening(): number {
    return this.isHolding ? this.#contactOpening() : 0;
  }

  /**
   * Moves the things to where the hand's new pose takes them.
   *
   * @param hand pose of the hand, its origin at the grasp point.
   * @param opening gripper opening, 0 … 100.
   */
  update(hand: Transform, opening: number): void {
    const target = this.#things[this.#target]!;
    const middle: Vec3 = [target.position[0], target.position[1], target.position[2] + heightOf(target.shape) / 2];
    const contact = this.#contactOpening();
    if (this.#grip === undefined) {
      // The fingers straddle the thing and have closed on it.
      const closing = opening <= contact && opening > FIST / 4 && distance(middle, hand.origin) < GRASP_RANGE;
      const upright: Transform = { x: [1, 0, 0], y: [0, 1, 0], z: [0, 0, 1], origin: target.position };
      if (closing && contact > 0) this.#grip = compose(invert(hand), upright);
      else this.#pushAndFall(hand.origin, opening);
    } else if (opening > contact + RELEASE_MARGIN) {
      this.#grip = undefined;
    }
    if (this.#grip !== undefined) this.#moveTarget(apply(hand, this.#grip.origin));
    this.#lastHand = hand.origin;
  }

  #contactOpening(): number {
    return gripperOpeningFor(2 * gripRadius(this.#things[this.#target]!.shape));
  }

  #moveTarget(position: Vec3): void {
    const floor = this.#support(position);
    this.#things[this.#target] = {
      ...this.#things[this.#target]!,
      position: [position[0], position[1], Math.max(position[2], floor)],
    };
  }

  #pushAndFall(hand: Vec3, opening: number): void {
    const { position, shape } = this.#things[this.#target]!;
    let [x, y] = position;
    const before = this.#lastHand ?? hand;
    const moved = Math.hypot(hand[0] - before[0], hand[1] - before[1]);
    const touching = hand[2] - FINGER_TIP < position[2] + heightOf(shape);
    if (opening < FIST && touching && moved > 1e-4) {
      // The flat of the fingers takes the thing along in the direction of the hand.
      const [ux, uy] = [(hand[0] - before[0]) / moved, (hand[1] - before[1]) / moved];
      const [dx, dy] = [x - hand[0], y - hand[1]];
      const ahead = dx * ux + dy * uy;
      const beside = Math.abs(dx * uy - dy * ux);
      const reach = pushRadius(shape) + FINGER_RADIUS;
      if (ahead > 0 && ahead < reach && beside < reach) {
        const pushed = Math.min(moved, reach - ahead);
        x += ux * pushed;
        y += uy * pushed;
      }
    }
    this.#moveTarget([x, y, position[2] - FALL]);
  }

  /** Height of what is under the target at a place: the table, or another thing's top or inside. */
  #support([x, y]: Vec3): number {
    let height = 0;
    for (const [index, thing] of this.#things.entries()) {
      if (index === this.#target) continue;
      const over = Math.hypot(x - thing.position[0], y - thing.position[1]) < gripRadius(thing.shape);
      if (over) height = Math.max(height, thing.position[2] + restingHeight(thing));
    }
    return height;
  }
}

/** From a thing's middle to the side that is pushed. */
function pushRadius(shape: Thing['shape']): number {
  return shape.kind === 'block' ? shape.length / 2 : gripRadius(shape);
}

/** Whether the target ended where the task wants it, given where it started. */
export function isDone(
  action: 'place' | 'push' | 'lift' | 'point',
  direction: number,
  start: Thing,
  end: Thing,
  goal: Thing | undefined,
): boolean {
  switch (action) {
    case 'place':
      return (
        goal !== undefined &&
        Math.hypot(end.position[0] - goal.position[0], end.position[1] - goal.position[1]) < gripRadius(goal.shape) &&
        Math.abs(end.position[2] - goal.position[2] - restingHeight(goal)) < 1e-6
      );
    case 'push':
      return direction * (end.position[1] - start.position[1]) > PUSH_LENGTH / 2;
    case 'lift':
    case 'point':
      return distance(start.position, end.position) < 0.03;
  }
}
