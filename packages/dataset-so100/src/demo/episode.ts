import { Random } from '@zk0/core';
import type { DemoTask } from './demo-tasks.ts';
import { HAND, linkFrames, type LinkFrames } from './kinematics.ts';
import { gripRadius, type Thing, type ThingModel } from './scene.ts';
import { scriptFor, SHOULDER } from './script.ts';
import { clampToLimits, GRASP_POINT, gripperAngle, JOINT_LIMITS, toRecordedUnits, type JointAngles } from './so100.ts';
import { isDone, Tabletop } from './tabletop.ts';
import { trajectory } from './trajectory.ts';
import { apply, type Vec3 } from './transform.ts';

/** One moment of a simulated episode. */
export interface SimulatedFrame {
  /** Where the arm is, in recorded units: degrees, gripper 0 … 100. */
  readonly state: readonly number[];
  /** What it is commanded to next, in the same units. */
  readonly action: readonly number[];
  readonly links: LinkFrames;
  readonly things: readonly Thing[];
}

export interface SimulatedEpisode {
  readonly frames: readonly SimulatedFrame[];
  /** Whether the thing ended where the task wants it. */
  readonly success: boolean;
}

/** Folded over the base, as people park these arms. */
const REST: JointAngles = [0, -1.65, 1.6, 1.15, 0, gripperAngle(8)];
/** How much of the way to the commanded angle a servo gets within a frame. */
const FOLLOWING = 0.8;
/** A hand's unsteadiness on the leader arm: radians, and how much of it lasts from frame to frame. */
const WOBBLE = 0.005;
const WOBBLE_MEMORY = 0.8;
/** One count of a 12-bit servo encoder, radians. */
const ENCODER_STEP = (2 * Math.PI) / 4096;

/** Room for the fingers beside a thing, metres. */
const SPACING = 0.02;
const PLACEMENT_TRIES = 2000;
/** Behind and ahead of a thing to push, metres: room for the hand and for the push. */
const LANE_BEHIND = 0.1;
const LANE_AHEAD = 0.13;

/** Simulates one episode of a task: where things lie, how the hand moves and trembles; all of it from the seed. */
export function simulateEpisode(task: DemoTask, seed: string, fps: number): SimulatedEpisode {
  const random = new Random(seed);
  const { action } = task;
  const handled = [task.target, ...(action.kind === 'place' ? [action.goal] : [])];
  const direction = action.kind === 'push' ? action.direction : 0;
  const things = layOut([...handled, ...task.clutter], handled.length, direction, random);
  const start = things[0]!;
  const goal = action.kind === 'place' ? things[1] : undefined;

  const rest = REST.map((angle, joint) => angle + (joint === 5 ? 0 : 0.03 * random.normal())) as unknown as JointAngles;
  const commands = trajectory(scriptFor(action, start, goal, random), clampToLimits(rest), fps);
  const table = new Tabletop(things, 0);
  const frames: SimulatedFrame[] = [];
  let actual = quantize(clampToLimits(rest));
  let wobble = new Array<number>(6).fill(0);
  for (const command of commands) {
    wobble = wobble.map(
      (value) => WOBBLE_MEMORY * value + WOBBLE * Math.sqrt(1 - WOBBLE_MEMORY ** 2) * random.normal(),
    );
    const leader = quantize(clampToLimits(command.map((angle, i) => angle + wobble[i]!) as unknown as JointAngles));
    const links = linkFrames(actual);
    frames.push({ state: toRecordedUnits(actual), action: toRecordedUnits(leader), links, things: [...table.things] });

    const next = actual.map((angle, joint) => angle + FOLLOWING * (leader[joint]! - angle));
    next[5] = Math.max(next[5]!, gripperAngle(table.smallestOpening));
    actual = quantize(clampToLimits(next as unknown as JointAngles));
    const hand = linkFrames(actual)[HAND]!;
    table.update({ ...hand, origin: apply(hand, GRASP_POINT) }, toRecordedUnits(actual)[5]!);
  }
  return { frames, success: isDone(action.kind, direction, start, table.things[0]!, goal) };
}

/** The nearest angles that an encoder reads, inside the limits. */
function quantize(angles: JointAngles): JointAngles {
  const counted = angles.map((angle, joint) => {
    const { lower, upper } = JOINT_LIMITS[joint]!;
    const count = Math.round(angle / ENCODER_STEP);
    const inside = Math.min(Math.max(count, Math.ceil(lower / ENCODER_STEP)), Math.floor(upper / ENCODER_STEP));
    return inside * ENCODER_STEP;
  });
  return counted as unknown as JointAngles;
}

/** Puts things on the table apart from each other, what is handled within reach. A thing to push starts off-centre. */
function layOut(models: readonly ThingModel[], handled: number, pushDirection: number, random: Random): Thing[] {
  const things: Thing[] = [];
  for (const [index, model] of models.entries()) {
    const area = index >= handled ? SURROUNDINGS : pushDirection === 0 ? REACHABLE : pushArea(pushDirection);
    const position = findPlace(random, area, (place) =>
      things.every((other, n) => gap(place, other.position, n === 0 ? pushDirection : 0) > room(model) + room(other)),
    );
    const yaw = model.shape.kind === 'block' || model.shape.kind === 'tray' ? 0 : 0.5 * (random.uniform() - 0.5);
    things.push({ ...model, position, yaw });
  }
  return things;
}

/** A part of the table around the shoulder's axis: metres from it, radians from straight ahead. */
interface Area {
  readonly near: number;
  readonly far: number;
  readonly centre: number;
  readonly spread: number;
}

const REACHABLE: Area = { near: 0.165, far: 0.265, centre: 0, spread: 0.75 };
const SURROUNDINGS: Area = { near: 0.14, far: 0.34, centre: 0, spread: 1 };

function pushArea(direction: number): Area {
  return { ...REACHABLE, centre: -0.35 * direction, spread: 0.35 };
}

function findPlace(random: Random, area: Area, isFree: (place: Vec3) => boolean): Vec3 {
  for (let attempt = 0; attempt < PLACEMENT_TRIES; attempt++) {
    const reach = area.near + (area.far - area.near) * random.uniform();
    const angle = area.centre + area.spread * (2 * random.uniform() - 1);
    const place: Vec3 = [SHOULDER[0] + reach * Math.cos(angle), SHOULDER[1] + reach * Math.sin(angle), 0];
    if (isFree(place)) return place;
  }
  throw new Error(`No free place on the table after ${PLACEMENT_TRIES} tries: the task has too many things`);
}

/** Distance on the table from a place to a thing, or to the lane that the thing is pushed along. */
function gap(place: Vec3, thing: Vec3, pushDirection: number): number {
  const alongLane = (place[1] - thing[1]) * pushDirection;
  const outsideLane = Math.max(0, -LANE_BEHIND - alongLane, alongLane - LANE_AHEAD);
  const dy = pushDirection === 0 ? place[1] - thing[1] : outsideLane;
  return Math.hypot(place[0] - thing[0], dy);
}

/** Half of the room a thing takes, with space for the fingers beside it. */
function room(model: ThingModel): number {
  const { shape } = model;
  const half = shape.kind === 'tray' ? Math.hypot(shape.width, shape.depth) / 2 : gripRadius(shape);
  return half + SPACING;
}
