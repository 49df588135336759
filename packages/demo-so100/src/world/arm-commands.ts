import { InvalidArgumentError, type Random } from '@zk0/core';
import { clampToLimits, fromRecordedUnits, gripperAngle, JOINT_NAMES, quantize, SIDEWAYS, toRecordedUnits, type JointAngles } from '../arm/so100.ts';

/** Folded over the base and clear of what stands on the table, the hand turned to close sideways. */
const REST: JointAngles = [0, -1.5, 1.15, 1.2, SIDEWAYS, gripperAngle(8)];
/** How far from it each joint starts, radians. */
const REST_SPREAD = 0.03;
/** Beyond a limit by no more than this an action is not counted as clamped: degrees, or hundredths of the gripper's range. */
const LIMIT_TOLERANCE = 0.5;

/** Where the arm rests at the start of a trial. */
export function restingPose(random: Random): JointAngles {
  const rest = REST.map((angle, joint) => angle + (joint === 5 ? 0 : REST_SPREAD * random.normal())) as unknown as JointAngles;
  return quantize(clampToLimits(rest));
}

/**
 * What the servos are told by an action in recorded units, and whether it was beyond their limits.
 *
 * @throws InvalidArgumentError when the action is not 6 finite numbers
 */
export function servoGoals(action: ArrayLike<number>): { readonly goals: JointAngles; readonly clamped: boolean } {
  const values = Array.from(action);
  if (values.length !== JOINT_NAMES.length || !values.every(Number.isFinite)) {
    throw new InvalidArgumentError(`an action of this arm is ${JOINT_NAMES.length} finite numbers, not [${values.join(', ')}]`);
  }
  const goals = quantize(clampToLimits(fromRecordedUnits(values)));
  const reached = toRecordedUnits(goals);
  return { goals, clamped: values.some((value, joint) => Math.abs(value - reached[joint]!) > LIMIT_TOLERANCE) };
}

/** What the encoders read at joint angles in radians: degrees, gripper 0 … 100. */
export function encoderState(angles: JointAngles): number[] {
  return toRecordedUnits(quantize(clampToLimits(angles)));
}
