import type { TrialFailure } from '@zk0/core';
import { apply, distance, type Transform, type Vec3 } from '../arm/transform.ts';
import { GRASP_POINT } from '../arm/so100.ts';
import type { ThingContacts } from '../physics/simulation.ts';
import { gripRadius, heightOf, restingHeight, type Thing } from '../render/scene.ts';
import type { DemoAction } from './demo-tasks.ts';
import { PUSH_LENGTH } from './script.ts';

/** What the judge sees after every frame. */
export interface Situation {
  /** Frame of the link with the fixed finger. */
  readonly hand: Transform;
  /** Gripper opening, 0 … 100. */
  readonly opening: number;
  readonly target: Transform;
  readonly contacts: ThingContacts;
}

/** As near as the grasp point has to come for the hand to have reached a thing, metres. */
export const REACHED = 0.03;
/** A thing is in the hand once it is this far above where it stood, between both fingers, metres. */
export const RAISED = 0.008;
/** A thing that leaves the hand higher than this has been dropped, not put down, metres. */
export const DROP_HEIGHT = 0.035;
/** A lift counts from this height on, metres. */
const LIFT_HEIGHT = 0.04;
/** Slower than this from frame to frame a thing is at rest: metres per second, and of its upward direction per second. */
const STILL = { linear: 0.01, turning: 0.3 } as const;
/** Seconds that a thing has to lie, or the hand to point, for it to count. */
export const LIE_SECONDS = 0.35;
const POINT_SECONDS = 0.95;
/** A thing that is put back has to be this near to where it was, metres. */
const BACK = 0.03;
/** How far from straight above a thing, and how high over its top, the hand may be to point at it, metres; how fast it may still move, m/s. */
const POINT = { aside: 0.03, above: 0.08, opening: 15, speed: 0.06 } as const;
/** How far from the surface that carries it a thing may be, metres. */
const SETTLED = 0.006;
/** Cosine of the most that a thing may lean that has to stand upright. */
const UPRIGHT = 0.94;
/** The goal of a push may be missed by this much to the side, metres. */
const PUSH_ASIDE = 0.06;

/** Whether a thing that went from one pose to another within so many seconds is at rest. */
export function isStill(before: Transform, after: Transform, seconds: number): boolean {
  return distance(before.origin, after.origin) < STILL.linear * seconds && distance(before.z, after.z) < STILL.turning * seconds;
}

/** Decides whether a task has been done, and where a trial that did not do it has failed. */
export class Judge {
  readonly #action: DemoAction;
  readonly #start: Thing;
  readonly #goal: Thing | undefined;
  readonly #frameSeconds: number;
  #reached = false;
  #touched = false;
  #held = false;
  #peak = 0;
  /** Height at which the target was last seen in the hand. */
  #lastHeight = 0;
  /** Seconds for which the condition has held without a break. */
  #seconds = 0;
  #inHand = false;
  #last: Transform;
  #lastGrasp: Vec3 | undefined;
  #done = false;

  constructor(action: DemoAction, start: Thing, goal: Thing | undefined, fps: number) {
    this.#action = action;
    this.#start = start;
    this.#last = start.pose;
    this.#goal = goal;
    this.#frameSeconds = 1 / fps;
  }

  /** Whether the task is done: for good, whatever the arm does afterwards. */
  get done(): boolean {
    return this.#done;
  }

  /** Takes what one more frame has brought. */
  observe(now: Situation): void {
    const grasp = apply(now.hand, GRASP_POINT);
    const middle = apply(now.target, [0, 0, heightOf(this.#start.shape) / 2]);
    const height = now.target.origin[2] - this.#start.pose.origin[2];
    this.#reached ||= distance(grasp, middle) < REACHED;
    this.#touched ||= now.contacts.arm;
    this.#inHand = now.contacts.fixedFinger && now.contacts.movingFinger && height > RAISED;
    this.#held ||= this.#inHand;
    if (this.#inHand) {
      this.#peak = Math.max(this.#peak, height);
      this.#lastHeight = height;
    }
    const atRest = isStill(this.#last, now.target, this.#frameSeconds);
    this.#last = now.target;
    const holds = this.#holds(now, grasp, atRest);
    this.#lastGrasp = grasp;
    this.#seconds = holds ? this.#seconds + this.#frameSeconds : 0;
    const needed = this.#action.kind === 'point' ? POINT_SECONDS : LIE_SECONDS;
    if (this.#seconds >= needed) this.#done = true;
  }

  /** Where a trial that ended without success went wrong. */
  failure(): TrialFailure {
    if (!this.#reached && !this.#touched) return 'not-reached';
    if (this.#action.kind === 'push' || this.#action.kind === 'point') return this.#touched ? 'wrong-place' : 'timed-out';
    if (!this.#held) return 'not-grasped';
    if (this.#inHand) return 'timed-out';
    return this.#lastHeight > DROP_HEIGHT ? 'dropped' : 'wrong-place';
  }

  /** Whether the condition holds in this frame. */
  #holds(now: Situation, grasp: Vec3, atRest: boolean): boolean {
    const [x, y, z] = now.target.origin;
    const [startX, startY, startZ] = this.#start.pose.origin;
    switch (this.#action.kind) {
      case 'place':
        return this.#held && !now.contacts.arm && atRest && this.#isInGoal(now.target);
      case 'lift': {
        const isBack = Math.hypot(x - startX, y - startY) < BACK && Math.abs(z - startZ) < SETTLED && now.target.z[2] > UPRIGHT;
        return this.#held && this.#peak > LIFT_HEIGHT && !now.contacts.arm && atRest && isBack;
      }
      case 'push': {
        const pushed = this.#action.direction * (y - startY);
        return this.#touched && atRest && pushed > PUSH_LENGTH / 2 && Math.abs(x - startX) < PUSH_ASIDE && now.target.z[2] > UPRIGHT;
      }
      case 'point': {
        const over = grasp[2] - heightOf(this.#start.shape);
        const aside = Math.hypot(x - grasp[0], y - grasp[1]);
        // An arm that wanders comes by, and does not stay.
        const isHeld = this.#lastGrasp !== undefined && distance(grasp, this.#lastGrasp) < POINT.speed * this.#frameSeconds;
        return isHeld && !this.#touched && now.opening < POINT.opening && aside < POINT.aside && over > 0 && over < POINT.above;
      }
    }
  }

  /** Whether the target lies in or on the goal: supported by it, its middle above it. */
  #isInGoal(target: Transform): boolean {
    const goal = this.#goal!;
    const height = heightOf(this.#start.shape);
    const middle = apply(target, [0, 0, height / 2]);
    const [gx, gy, gz] = goal.pose.origin;
    const surface = gz + restingHeight(goal.shape);
    // A thing that lies on its side or leans on a bowl's wall has its middle at another height than one that stands.
    const lowest = surface + Math.min(height / 2, gripRadius(this.#start.shape)) - SETTLED;
    const inside = goal.shape.kind === 'bowl' || goal.shape.kind === 'tray';
    const highest = inside ? surface + height / 2 + Math.max(SETTLED, heightOf(goal.shape) / 2) : surface + height / 2 + SETTLED;
    const isAbove = Math.hypot(middle[0] - gx, middle[1] - gy) < gripRadius(goal.shape);
    return isAbove && middle[2] > lowest && middle[2] < highest;
  }
}
