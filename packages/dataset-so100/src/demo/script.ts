import type { Random } from '@zk0/core';
import type { DemoAction } from './demo-tasks.ts';
import type { HandPose } from './kinematics.ts';
import { gripRadius, heightOf, type Thing } from './scene.ts';
import { gripperOpeningFor, JOINT_FRAMES } from './so100.ts';
import { BOWL_FLOOR } from './mesh.ts';
import type { Vec3 } from './transform.ts';

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
const CLEARANCE = 0.075;
const OPEN = 55;
const CLOSED = 4;
/** How much tighter than the thing's width the gripper is commanded: what holds it. */
const SQUEEZE = 5;
/** How far a push moves a thing, metres. */
export const PUSH_LENGTH = 0.09;
/** The lowest the grasp point goes: the finger tips are 13 mm further down. */
const LOWEST = 0.016;

/** How a person does this task with this arm: the steps after the resting pose, before going back to it. */
export function scriptFor(action: DemoAction, target: Thing, goal: Thing | undefined, random: Random): ScriptStep[] {
  const pace = 0.9 + 0.2 * random.uniform();
  const lean = 0.12 * (random.uniform() - 0.5);
  const roll = 0.5 * (random.uniform() - 0.5);
  const step = (
    phase: ScriptStep['phase'],
    position: Vec3,
    gripper: number,
    seconds: number,
    tilt = reachTilt(position) + lean,
  ): ScriptStep => ({ phase, pose: { position, tilt, roll }, gripper, seconds: seconds * pace });

  const grip = Math.max(LOWEST, heightOf(target.shape) * 0.55);
  const at = raised(target.position, grip);
  const above = raised(target.position, grip + CLEARANCE);
  switch (action.kind) {
    case 'place':
    case 'lift': {
      const squeeze = Math.max(0, gripperOpeningFor(2 * gripRadius(target.shape)) - SQUEEZE);
      const pick = [
        step('approach', above, OPEN, 1.3),
        step('descend', at, OPEN, 0.8),
        step('descend', at, OPEN, 0.2),
        step('grasp', at, squeeze, 0.5),
        step('lift', raised(target.position, grip + CLEARANCE), squeeze, 0.7),
      ];
      if (action.kind === 'lift' || goal === undefined) {
        return [
          ...pick,
          step('hold', raised(target.position, grip + CLEARANCE + 0.02), squeeze, 0.9),
          step('lower', raised(target.position, grip + 0.002), squeeze, 0.7),
          step('release', raised(target.position, grip), OPEN, 0.4),
          step('retreat', above, OPEN, 0.6),
        ];
      }
      const down = raised(goal.position, restingHeight(goal) + grip + 0.004);
      const over = raised(goal.position, heightOf(goal.shape) + grip + CLEARANCE);
      return [
        ...pick,
        step('carry', over, squeeze, 1.2),
        step('lower', down, squeeze, 0.7),
        step('release', down, OPEN, 0.4),
        step('retreat', over, OPEN, 0.6),
      ];
    }
    case 'push': {
      const { position, shape } = target;
      const beside = gripRadius(shape) + (shape.kind === 'block' ? shape.length / 2 - gripRadius(shape) : 0) + 0.045;
      const start: Vec3 = [position[0], position[1] - action.direction * beside, LOWEST + 0.006];
      const end: Vec3 = [start[0], start[1] + action.direction * (PUSH_LENGTH + 0.02), start[2]];
      return [
        step('approach', raised(start, CLEARANCE), CLOSED, 1.4),
        step('descend', start, CLOSED, 0.7),
        step('push', end, CLOSED, 1.8),
        step('hold', end, CLOSED, 0.3),
        step('retreat', raised(end, CLEARANCE), CLOSED, 0.7),
      ];
    }
    case 'point': {
      const over = raised(target.position, heightOf(target.shape) + 0.04);
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

/** Where the surface lies that something put into or onto a thing comes to rest on, above the thing's underside. */
export function restingHeight({ shape }: Thing): number {
  if (shape.kind === 'bowl' || shape.kind === 'tray') return BOWL_FLOOR;
  return heightOf(shape);
}

/** Fingers nearly straight down close by, leaning forwards further out: what the wrist's range allows. */
function reachTilt([x, y]: Vec3): number {
  const reach = Math.hypot(x - SHOULDER[0], y - SHOULDER[1]);
  return 0.34 + Math.max(0, reach - 0.16) * 2.4;
}

/** The axis of `shoulder_pan`. */
export const SHOULDER: Vec3 = JOINT_FRAMES[0]!.origin;

function raised([x, y, z]: Vec3, by: number): Vec3 {
  return [x, y, z + by];
}
