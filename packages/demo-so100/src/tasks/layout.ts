import type { Random } from '@zk0/core';
import { SHOULDER } from '../arm/so100.ts';
import type { Vec3 } from '../arm/transform.ts';
import { DemoError } from '../errors.ts';
import { gripRadius, standing, type Thing, type ThingModel } from '../render/scene.ts';
import type { DemoTask } from './demo-tasks.ts';
import { placeNamed } from './places.ts';

/** A part of the table around the shoulder's axis: metres from it, radians from straight ahead (to the left is positive). */
export interface Area {
  readonly near: number;
  readonly far: number;
  readonly centre: number;
  readonly spread: number;
}

/** Where what is handled may lie. */
const REACHABLE: Area = { near: 0.165, far: 0.265, centre: 0, spread: 0.75 };
/** Where what only lies about may lie. */
const SURROUNDINGS: Area = { near: 0.14, far: 0.34, centre: 0, spread: 1 };

/** Room for the fingers beside a thing, metres. */
const SPACING = 0.024;
const PLACEMENT_TRIES = 2000;
/** Behind and ahead of a thing to push, metres: room for the hand and for the push. */
const LANE_BEHIND = 0.11;
const LANE_AHEAD = 0.15;
/** How far a thing may be turned from facing the arm, radians. */
const TURN = 0.15;

/**
 * Puts a task's things on the table apart from each other, what is handled within reach, or at a place by name. The
 * target is the first, the goal (if there is one) the second.
 *
 * @throws DemoError `DEMO_TASK_UNKNOWN` for a place that the task does not have.
 */
export function layOut(task: DemoTask, place: string | undefined, random: Random): Thing[] {
  const { action } = task;
  const handled = [task.target, ...(action.kind === 'place' ? [action.goal] : [])];
  const direction = action.kind === 'push' ? action.direction : 0;
  const areas = place === undefined ? undefined : placeNamed(task, place);
  const things: Thing[] = [];
  for (const [index, model] of [...handled, ...task.clutter].entries()) {
    const area = areas?.[index] ?? areaOf(index < handled.length, direction);
    const position = findPlace(random, area, (candidate) =>
      things.every((other, n) => gap(candidate, other.pose.origin, n === 0 ? direction : 0) > room(model) + room(other)),
    );
    things.push(standing(model, position, yawOf(model, position, direction, random)));
  }
  return things;
}

function areaOf(isHandled: boolean, direction: number): Area {
  if (!isHandled) return SURROUNDINGS;
  return direction === 0 ? REACHABLE : { ...REACHABLE, near: 0.18, far: 0.24, centre: -0.35 * direction, spread: 0.3 };
}

/** Things with corners face the arm, as somebody who works with a gripper puts them; what is pushed and trays lie straight. */
function yawOf({ shape }: ThingModel, [x, y]: Vec3, direction: number, random: Random): number {
  if (direction !== 0 || shape.kind === 'tray') return 0;
  return Math.atan2(y - SHOULDER[1], x - SHOULDER[0]) + TURN * (2 * random.uniform() - 1);
}

function findPlace(random: Random, area: Area, isFree: (place: Vec3) => boolean): Vec3 {
  for (let attempt = 0; attempt < PLACEMENT_TRIES; attempt++) {
    const reach = area.near + (area.far - area.near) * random.uniform();
    const angle = area.centre + area.spread * (2 * random.uniform() - 1);
    const place: Vec3 = [SHOULDER[0] + reach * Math.cos(angle), SHOULDER[1] + reach * Math.sin(angle), 0];
    if (isFree(place)) return place;
  }
  throw new DemoError('PHYSICS_FAILED', `there is no free place on the table after ${PLACEMENT_TRIES} tries`, {
    hint: 'Report the task and the seed.',
  });
}

/** Distance on the table from a place to a thing, or to the lane that the thing is pushed along. */
function gap(place: Vec3, thing: Vec3, pushDirection: number): number {
  const alongLane = (place[1] - thing[1]) * pushDirection;
  const outsideLane = Math.max(0, -LANE_BEHIND - alongLane, alongLane - LANE_AHEAD);
  const dy = pushDirection === 0 ? place[1] - thing[1] : outsideLane;
  return Math.hypot(place[0] - thing[0], dy);
}

/** Half of the room a thing takes, with space for the fingers beside it. */
function room({ shape }: ThingModel): number {
  const half = shape.kind === 'tray' ? Math.hypot(shape.width, shape.depth) / 2 : gripRadius(shape);
  return half + SPACING;
}
