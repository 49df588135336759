import type { JointConvention } from '@zk0/core';
import { degreesPerUnit } from './degrees-per-unit.ts';
import { canonicalNames, jointOf } from './joint-names.ts';

/** A joint whose action and following state differ steadily. */
export interface LeaderOffset {
  /** As the action names it. */
  readonly joint: string;
  /** Action less the state that follows, in degrees. */
  readonly degrees: number;
}

/** Offsets from here on are named, in degrees. */
export const LEADER_OFFSET_DEGREES = 3;

/** Frames over which an arm that stands still settles. */
const SETTLE = 5;

/** Movement of the action over {@link SETTLE} frames that counts as standing still, in degrees. */
const STILL_DEGREES = 1;

/** Fewer frames that stand still than this say nothing. */
const MIN_STILL = 20;

/** Frames looked at. */
const MAX_FRAMES = 20_000;

/**
 * Finds joints whose leader and follower are calibrated apart: while the leader stands still, the follower stands beside it. The
 * gripper is left out, which closes further than an object lets it.
 *
 * @param rows state and action, row-major, and where episodes begin (one more entry than episodes)
 */
export function leaderOffsets(
  rows: { readonly state: Float32Array; readonly action: Float32Array; readonly offsets: readonly number[] },
  info: {
    readonly robotType: string;
    readonly stateNames: readonly string[];
    readonly actionNames: readonly string[];
    readonly joints: { readonly state: readonly JointConvention[]; readonly action: readonly JointConvention[] };
  },
): readonly LeaderOffset[] {
  const stateNames = canonicalNames(info.stateNames, info.robotType);
  const actionNames = canonicalNames(info.actionNames, info.robotType);
  return actionNames.flatMap((name, action): LeaderOffset[] => {
    const state = stateNames.indexOf(name);
    if (state === -1 || jointOf(name) === 'gripper') return [];
    const [ofAction, ofState] = [degreesPerUnit(info.joints.action[action]!), degreesPerUnit(info.joints.state[state]!)];
    if (ofAction === null || ofState === null || info.joints.action[action]!.unit !== info.joints.state[state]!.unit) return [];
    const differences = stillDifferences(rows, { action, actions: actionNames.length, state, states: stateNames.length }, ofAction, ofState);
    if (differences.length < MIN_STILL) return [];
    const degrees = differences.sort((a, b) => a - b)[differences.length >> 1]!;
    return Math.abs(degrees) < LEADER_OFFSET_DEGREES ? [] : [{ joint: info.actionNames[action]!, degrees }];
  });
}

function stillDifferences(
  { state, action, offsets }: { readonly state: Float32Array; readonly action: Float32Array; readonly offsets: readonly number[] },
  at: { readonly action: number; readonly actions: number; readonly state: number; readonly states: number },
  ofAction: number,
  ofState: number,
): number[] {
  const differences: number[] = [];
  const commanded = (frame: number): number => action[frame * at.actions + at.action]! * ofAction;
  for (let episode = 0; episode + 1 < offsets.length && differences.length < MAX_FRAMES; episode++) {
    for (let frame = offsets[episode]! + SETTLE; frame + 1 < offsets[episode + 1]!; frame++) {
      if (Math.abs(commanded(frame) - commanded(frame - SETTLE)) > STILL_DEGREES || Math.abs(commanded(frame) - commanded(frame - 2)) > STILL_DEGREES) continue;
      differences.push(commanded(frame) - state[(frame + 1) * at.states + at.state]! * ofState);
    }
  }
  return differences;
}
