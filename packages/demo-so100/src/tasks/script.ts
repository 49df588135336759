import type { Random } from '@zk0/core';
import { HAND, inverseKinematics, linkFrames, type HandPose } from '../arm/kinematics.ts';
import { FIXED_FINGER_FACE, GRASP_POINT, gripperOpeningFor, SHOULDER, SIDEWAYS } from '../arm/so100.ts';
import type { Vec3 } from '../arm/transform.ts';
import { gripRadius, heightOf, restingHeight, type Thing } from '../render/scene.ts';
import type { DemoAction } from './demo-tasks.ts';

/** Where the hand should be next, and how long it takes to get there from the step before. */
export interface ScriptStep {
  readonly phase:
    'approach' | 'descend' | 'grasp' | 'lift' | 'carry' | 'lower' | 'release' | 'push' | 'hold' | 'retreat';
  readonly pose: HandPose;
  /** Gripper opening, 0 … 100. */
  readonly gripper: number;
  readonly seconds: number;
}

/** Clearance above things while moving over them, metres. */
const CLEARANCE = 0.07;
const OPEN = 60;
const CLOSED = 4;
/**
 * How much further from the fixed finger than at the grasp point a thing is when the fingers close, metres. They sweep it in; a hand that is
 * 15 mm beside its place still has it between them, where it would come down on it otherwise.
 */
const GRASP_MARGIN = 0.02;
/** How much tighter than the thing's width the gripper is commanded: what holds it. */
const SQUEEZE = 4;
/** How much further than its width the fingers open around a thing that is let go: a bowl has little room, metres. */
const RELEASE = 0.02;
/** How far a thing falls when it is let go; the fingers stay above a bowl's wall, metres. */
const DROP = 0.005;
const BOWL_DROP = 0.016;
/** How far a push moves a thing, metres. */
export const PUSH_LENGTH = 0.09;
/** Width of the closed fingers, and how far beside their middle the grasp point lies, metres. */
const FIST = 0.024;
const FIST_OFFSET = 0.0175;
/** The lowest the grasp point goes: the finger tips are 8 mm further down. */
const LOWEST = 0.015;

/** How a person does this task with this arm: the steps after the resting pose, before going back to it. */
export function scriptFor(action: DemoAction, target: Thing, goal: Thing | undefined, random: Random): ScriptStep[] {
  const pace = 0.9 + 0.2 * random.uniform();
  const lean = 0.12 * (random.uniform() - 0.5);
  const ownRoll = SIDEWAYS + 0.3 * (random.uniform() - 0.5);
  const place = target.pose.origin;
  const grip = Math.max(LOWEST, heightOf(target.shape) * 0.55);
  const at = raised(place, grip);
  const roll = hasCorners(target) && action.kind !== 'push' ? rollAlong(at, reachTilt(at) + lean, yawOf(target)) : ownRoll;
  const step = (
    phase: ScriptStep['phase'],
    position: Vec3,
    gripper: number,
    seconds: number,
    tilt = reachTilt(position) + lean,
  ): ScriptStep => ({ phase, pose: { position, tilt, roll }, gripper, seconds: seconds * pace });

  switch (action.kind) {
    case 'place':
    case 'lift': {
      const across = closing(at, reachTilt(at) + lean, roll);
      const beside: Vec3 = [place[0] - across[0] * GRASP_MARGIN, place[1] - across[1] * GRASP_MARGIN, place[2]];
      const around = raised(beside, grip);
      const above = raised(beside, grip + CLEARANCE);
      const squeeze = Math.max(0, gripperOpeningFor(2 * gripRadius(target.shape)) - SQUEEZE);
      const pick = [
        step('approach', above, OPEN, 1.3),
        step('descend', around, OPEN, 0.8),
        step('descend', around, OPEN, 0.2),
        step('grasp', around, squeeze, 0.6),
        step('lift', above, squeeze, 0.7),
      ];
      // A held thing lies against the fixed finger, beside the grasp point.
      const holding = (spot: Vec3, tilt: number): Vec3 => {
        const offset = heldOffset(spot, tilt, roll, gripRadius(target.shape));
        return [spot[0] + offset[0], spot[1] + offset[1], spot[2]];
      };
      if (action.kind === 'lift' || goal === undefined) {
        const back = raised(holding(place, reachTilt(place) + lean), grip + 0.003);
        return [
          ...pick,
          step('hold', raised(above, 0.02), squeeze, 0.9),
          step('lower', back, squeeze, 0.8),
          step('release', back, OPEN, 0.5),
          step('retreat', raised(back, CLEARANCE), OPEN, 0.6),
        ];
      }
      const letGo = gripperOpeningFor(2 * gripRadius(target.shape) + RELEASE);
      const spot = goal.pose.origin;
      const tilt = reachTilt(spot) + lean;
      const held = holding(spot, tilt);
      const down = raised([held[0], held[1], 0], restingHeight(goal.shape) + grip + (goal.shape.kind === 'bowl' ? BOWL_DROP : DROP));
      const over = raised(down, heightOf(goal.shape) - restingHeight(goal.shape) + CLEARANCE);
      return [
        ...pick,
        step('carry', over, squeeze, 1.3, tilt),
        step('lower', down, squeeze, 0.8, tilt),
        step('release', down, letGo, 0.5, tilt),
        step('retreat', over, letGo, 0.6, tilt),
      ];
    }
    case 'push': {
      const { shape } = target;
      const beside = (shape.kind === 'block' ? shape.length / 2 : gripRadius(shape)) + FIST / 2 + 0.03;
      const fistAt = (y: number): Vec3 => {
        const spot: Vec3 = [place[0], y, LOWEST + 0.003];
        const across = closing(spot, reachTilt(spot) + lean, roll);
        return [spot[0] + across[0] * FIST_OFFSET, spot[1] + across[1] * FIST_OFFSET, spot[2]];
      };
      const startY = place[1] - action.direction * beside;
      const start = fistAt(startY);
      const end = fistAt(startY + action.direction * (PUSH_LENGTH + 0.03));
      return [
        step('approach', raised(start, CLEARANCE), CLOSED, 1.4),
        step('descend', start, CLOSED, 0.7),
        step('push', end, CLOSED, 2),
        step('hold', end, CLOSED, 0.3),
        step('retreat', raised(end, CLEARANCE), CLOSED, 0.7),
      ];
    }
    case 'point': {
      const over = raised(place, heightOf(target.shape) + 0.04);
      const tilt = reachTilt(over) + 0.2;
      return [
        step('approach', raised(over, 0.05), CLOSED, 1.5, tilt),
        step('descend', over, CLOSED, 0.8, tilt),
        step('hold', over, CLOSED, 1.6, tilt),
        step('retreat', raised(over, 0.05), CLOSED, 0.7, tilt),
      ];
    }
  }
}

function hasCorners({ shape }: Thing): boolean {
  return shape.kind === 'cube' || shape.kind === 'block';
}

function yawOf({ pose }: Thing): number {
  return Math.atan2(pose.x[1], pose.x[0]);
}

const READY = [0, -0.6, 0.8, 0.6, 0, 0.5] as const;
const ROLL_ITERATIONS = 4;

/** The roll nearest to {@link SIDEWAYS} with which the fingers close along a side of a thing that is turned by `yaw`. */
function rollAlong(position: Vec3, tilt: number, yaw: number): number {
  let roll: number = SIDEWAYS;
  for (let iteration = 0; iteration < ROLL_ITERATIONS; iteration++) {
    const across = closing(position, tilt, roll);
    const error = yaw - Math.atan2(across[1], across[0]);
    // Every quarter turn is as good. Rolling turns the fingers about their own axis, which points down.
    roll += error - (Math.PI / 2) * Math.round(error / (Math.PI / 2));
  }
  return roll;
}

/** From the middle of a held thing of this half width to the grasp point. */
function heldOffset(position: Vec3, tilt: number, roll: number, half: number): Vec3 {
  const distance = GRASP_POINT[0] - (FIXED_FINGER_FACE + half);
  const across = closing(position, tilt, roll);
  return [across[0] * distance, across[1] * distance, 0];
}

/** The direction that the moving finger opens in when the hand is somewhere. */
function closing(position: Vec3, tilt: number, roll: number): Vec3 {
  const { angles } = inverseKinematics({ position, tilt, roll }, READY);
  return linkFrames(angles)[HAND]!.x;
}

/** Fingers nearly straight down close by, leaning forwards further out: what the wrist's range allows. */
function reachTilt([x, y]: Vec3): number {
  const reach = Math.hypot(x - SHOULDER[0], y - SHOULDER[1]);
  return 0.34 + Math.max(0, reach - 0.16) * 2.4;
}

function raised([x, y, z]: Vec3, by: number): Vec3 {
  return [x, y, z + by];
}
