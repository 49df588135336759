import type { JointConvention } from '@zk0/core';
import { degreesPerUnit } from '../units/degrees-per-unit.ts';
import { canonicalNames, jointOf } from '../units/joint-names.ts';
import { NOTE } from './thresholds-of-notes.ts';
import { MOTION, type MotionCode } from './thresholds.ts';

/** One thing that an episode's movement shows. */
export interface MotionFinding {
  readonly code: MotionCode;
  /** In words, after the episode's number. */
  readonly message: string;
  /** Frame of the episode at which it is seen best. */
  readonly frame?: number;
}

/** The values of an episode, and what they are. */
export interface EpisodeValues {
  /** `frames × stateNames.length`, row-major. */
  readonly state: Float32Array;
  /** `frames × actionNames.length`, row-major. */
  readonly action: Float32Array;
  /** Seconds, of each frame. */
  readonly timestamps: Float64Array;
}

/** What the values of a dataset are. */
export interface MotionContext {
  readonly fps: number;
  readonly robotType: string;
  readonly stateNames: readonly string[];
  readonly actionNames: readonly string[];
  readonly joints: { readonly state: readonly JointConvention[]; readonly action: readonly JointConvention[] };
}

/** A joint as it moves: state and action in degrees, or in per cent of a gripper's range. */
interface JointMotion {
  readonly name: string;
  readonly isGripper: boolean;
  readonly unit: JointConvention['unit'];
  readonly state: Float64Array;
  /** Null where no action value belongs to the joint. */
  readonly action: Float64Array | null;
}

/** Finds what is wrong with how an episode moves. Joints whose units are not known are checked for what needs none. */
export function checkMotion(values: EpisodeValues, context: MotionContext): readonly MotionFinding[] {
  const joints = jointsOf(values, context);
  const { fps } = context;
  const findings: MotionFinding[] = [];
  const arm = joints.filter(({ isGripper }) => !isGripper);
  findings.push(...idle(arm, fps), ...frozen(arm, fps));
  for (const joint of joints) findings.push(...(joint.isGripper ? [...stuckGripper(joint), ...leaps(joint)] : [...jumps(joint, fps), ...dead(joint), ...saturated(joint)]));
  findings.push(...doubledRows(values, arm, fps), ...dropped(values.timestamps, fps));
  return findings;
}

/** The joints of an episode's states in degrees and per cent. */
function jointsOf({ state, action }: EpisodeValues, context: MotionContext): readonly JointMotion[] {
  const stateNames = canonicalNames(context.stateNames, context.robotType);
  const actionNames = canonicalNames(context.actionNames, context.robotType);
  return stateNames.flatMap((name, i): JointMotion[] => {
    const convention = context.joints.state[i]!;
    const scale = degreesPerUnit(convention);
    if (scale === null) return [];
    const of = actionNames.indexOf(name);
    const scaleOfAction = of === -1 ? null : degreesPerUnit(context.joints.action[of]!);
    return [
      {
        name: context.stateNames[i]!,
        isGripper: jointOf(name) === 'gripper',
        unit: convention.unit,
        state: column(state, stateNames.length, i, scale),
        action: scaleOfAction === null ? null : column(action, actionNames.length, of, scaleOfAction),
      },
    ];
  });
}

function column(values: Float32Array, size: number, index: number, scale: number): Float64Array {
  return Float64Array.from({ length: values.length / size }, (_, frame) => values[frame * size + index]! * scale);
}

function idle(arm: readonly JointMotion[], fps: number): MotionFinding[] {
  const frames = arm[0]?.state.length ?? 0;
  if (frames < 2) return [];
  const window = Math.max(1, Math.round(fps / 6));
  let still = 0;
  for (let frame = window; frame < frames; frame++) {
    const fastest = Math.max(...arm.map(({ state }) => Math.abs(state[frame]! - state[frame - window]!)));
    if ((fastest * fps) / window < MOTION.stillSpeed) still++;
  }
  const share = still / Math.max(1, frames - window);
  return share <= MOTION.maxIdle ? [] : [{ code: 'IDLE', message: `the arm stands still for ${percent(share)} of it` }];
}

/** The leader moves, and no joint of the follower does. */
function frozen(arm: readonly JointMotion[], fps: number): MotionFinding[] {
  const followed = arm.filter(({ action }) => action !== null);
  const frames = followed[0]?.state.length ?? 0;
  const window = Math.max(2, Math.round(MOTION.followSeconds * fps));
  for (let frame = window; frame < frames; frame += Math.max(1, window >> 2)) {
    const told = Math.max(...followed.map(({ action }) => Math.abs(action![frame]! - action![frame - window]!)));
    if (told < MOTION.unfollowed) continue;
    const moved = Math.max(...followed.map(({ state }) => rangeIn(state, frame - window, frame)));
    if (moved < MOTION.deadRange) return [{ code: 'FROZEN_ARM', message: `the arm stands still while it is told to move ${told.toFixed(0)}°`, frame: frame - window }];
  }
  return [];
}

function dead({ name, state, action }: JointMotion): MotionFinding[] {
  if (action === null || state.length < 2) return [];
  const [told, moved] = [rangeIn(action, 0, action.length - 1), rangeIn(state, 0, state.length - 1)];
  if (told < MOTION.unfollowed || moved >= MOTION.deadRange) return [];
  return [{ code: 'DEAD_JOINT', message: `${name} does not move, and is told to by ${told.toFixed(0)}°` }];
}

function jumps({ name, state }: JointMotion, fps: number): MotionFinding[] {
  let worst = 0;
  let at = 0;
  for (let frame = 1; frame < state.length; frame++) {
    const step = Math.abs(state[frame]! - state[frame - 1]!);
    if (step > worst) [worst, at] = [step, frame];
  }
  if (worst > MOTION.wrapStep) return [{ code: 'ENCODER_WRAP', message: `${name} turns by ${worst.toFixed(0)}° from one frame to the next: its encoder starts anew`, frame: at }];
  if (worst * fps <= MOTION.maxSpeed || worst < 5) return leaps({ name, state });
  return [{ code: 'JUMP', message: `${name} jumps by ${worst.toFixed(1)}° in a frame, ${(worst * fps).toFixed(0)}° a second; its servo turns 270`, frame: at }];
}

/** At a low frame rate, or of a gripper, speed says little: half of the range from one frame to the next says enough. */
function leaps({ name, state }: Pick<JointMotion, 'name' | 'state'>): MotionFinding[] {
  if (state.length < 3) return [];
  const range = rangeIn(state, 0, state.length - 1);
  if (range < NOTE.stepRange) return [];
  for (let frame = 1; frame < state.length; frame++) {
    const step = Math.abs(state[frame]! - state[frame - 1]!);
    if (step > NOTE.stepShare * range) return [{ code: 'JUMP', message: `${name} jumps by ${percent(step / range)} of its range in a frame`, frame }];
  }
  return [];
}

/** Only a normalised joint says where its range ends. */
function saturated({ name, unit, state }: JointMotion): MotionFinding[] {
  if (unit !== 'normalized' || state.length < 2) return [];
  const [low, high] = [Math.min(...state), Math.max(...state)];
  const end = Math.max(-low, high);
  // Constant joints stand where they stand.
  if (high - low < MOTION.deadRange) return [];
  const at = state.reduce((count, value) => count + (Math.abs(value) >= end - 1e-6 ? 1 : 0), 0);
  return at / state.length <= MOTION.maxSaturated ? [] : [{ code: 'SATURATED', message: `${name} stands at the end of its range for ${percent(at / state.length)} of it` }];
}

function stuckGripper({ name, state, action }: JointMotion): MotionFinding[] {
  if (action === null || state.length < 2) return [];
  const [told, moved] = [rangeIn(action, 0, action.length - 1), rangeIn(state, 0, state.length - 1)];
  if (told < MOTION.gripperTold || moved >= MOTION.gripperStuck) return [];
  return [{ code: 'STUCK_GRIPPER', message: `${name} is told to move through ${told.toFixed(0)} % of its range and moves ${moved.toFixed(1)} %` }];
}

/** Rows that are the one before, state and action alike, between rows that move. */
function doubledRows({ state, action }: EpisodeValues, arm: readonly JointMotion[], fps: number): MotionFinding[] {
  const frames = arm[0]?.state.length ?? 0;
  const [states, actions] = [state.length / Math.max(1, frames), action.length / Math.max(1, frames)];
  const isSame = (frame: number): boolean => {
    for (let i = 0; i < states; i++) if (state[frame * states + i] !== state[(frame - 1) * states + i]) return false;
    for (let i = 0; i < actions; i++) if (action[frame * actions + i] !== action[(frame - 1) * actions + i]) return false;
    return true;
  };
  // Two counts a frame: slower, an encoder repeats itself.
  const isMoving = (frame: number): boolean => arm.some((joint) => Math.abs(joint.state[frame]! - joint.state[frame - 1]!) * fps > 0.2 * fps);
  let [doubled, moving] = [0, 0];
  for (let frame = 2; frame + 1 < frames; frame++) {
    if (!isMoving(frame - 1) || !isMoving(frame + 1)) continue;
    moving++;
    if (isSame(frame)) doubled++;
  }
  if (moving < 10 || doubled / moving <= MOTION.maxDoubled) return [];
  return [{ code: 'DOUBLED_ROWS', message: `${percent(doubled / moving)} of its rows in motion repeat the row before` }];
}

function dropped(timestamps: Float64Array, fps: number): MotionFinding[] {
  let gaps = 0;
  let at: number | null = null;
  for (let frame = 1; frame < timestamps.length; frame++) {
    if ((timestamps[frame]! - timestamps[frame - 1]!) * fps < MOTION.droppedFrames) continue;
    gaps++;
    at ??= frame;
  }
  const share = gaps / Math.max(1, timestamps.length - 1);
  if (at === null || share <= MOTION.maxDropped) return [];
  return [{ code: 'DROPPED_FRAMES', message: `between ${gaps} of its rows there is more than a frame's time`, frame: at }];
}

function rangeIn(values: Float64Array, from: number, to: number): number {
  let [low, high] = [Infinity, -Infinity];
  for (let i = from; i <= to; i++) {
    low = Math.min(low, values[i]!);
    high = Math.max(high, values[i]!);
  }
  return high - low;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
