import type { JointConvention } from '@zk0/core';
import { jointOf } from './joint-names.ts';

/** `converted = value × scale + offset`. */
export interface Affine {
  readonly scale: number;
  readonly offset: number;
}

/** How good a conversion is: `exact`, or `nominal` where the arm's own calibration is not known and that of the model stands in. */
export type Exactness = 'exact' | 'nominal';

export interface Conversion extends Affine {
  readonly exactness: Exactness;
}

/** Half of each joint's range in degrees, of the SO-101's URDF (TheRobotStudio/SO-ARM100, Apache-2.0). */
const HALF_RANGE: Readonly<Record<string, number>> = { shoulder_pan: 110, shoulder_lift: 100, elbow_flex: 96.8, wrist_flex: 95, wrist_roll: 160 };

/** A gripper's range in the URDF, closed to open, in degrees. */
const GRIPPER_CLOSED = -10;
const GRIPPER_RANGE = 110;

const DEGREES = 180 / Math.PI;

/**
 * Degrees from the middle of the range (per cent of a gripper's) as a function of a recorded value; null where there is none: encoder
 * counts without a calibration, and units that are not known.
 *
 * @param joint canonical name
 */
function toDegrees(joint: string, { unit, degreesPerUnit }: JointConvention): Conversion | null {
  const own = jointOf(joint);
  switch (unit) {
    case 'degrees':
      return own === 'gripper' ? null : { scale: 1, offset: 0, exactness: 'exact' };
    case 'degrees-2024':
      // From lerobot's guide to recordings from before #777: the lift turns the other way, and both count from 90° further.
      if (own === 'shoulder_lift') return { scale: -1, offset: 90, exactness: 'exact' };
      return { scale: 1, offset: own === 'elbow_flex' ? -90 : 0, exactness: 'exact' };
    case 'normalized': {
      if (degreesPerUnit !== undefined) return { scale: degreesPerUnit, offset: 0, exactness: 'exact' };
      const half = Object.hasOwn(HALF_RANGE, own) ? HALF_RANGE[own] : undefined;
      return half === undefined ? null : { scale: half / 100, offset: 0, exactness: 'nominal' };
    }
    case 'percent':
      return own === 'gripper' ? { scale: 1, offset: 0, exactness: 'exact' } : null;
    case 'radians':
      if (own !== 'gripper') return { scale: DEGREES, offset: 0, exactness: 'exact' };
      return { scale: (100 * DEGREES) / GRIPPER_RANGE, offset: (-100 * GRIPPER_CLOSED) / GRIPPER_RANGE, exactness: 'nominal' };
    case 'ticks':
    case 'unknown':
      return null;
  }
}

/**
 * Finds how values of one convention become those of another; null where there is no way.
 *
 * @param joint canonical name
 */
export function conversionBetween(joint: string, from: JointConvention, to: JointConvention): Conversion | null {
  if (from.unit === to.unit && from.unit !== 'unknown' && from.unit !== 'ticks') return { scale: 1, offset: 0, exactness: 'exact' };
  const [there, back] = [toDegrees(joint, from), toDegrees(joint, to)];
  if (there === null || back === null) return null;
  const exactness = there.exactness === 'exact' && back.exactness === 'exact' ? 'exact' : 'nominal';
  return { scale: there.scale / back.scale, offset: (there.offset - back.offset) / back.scale, exactness };
}
