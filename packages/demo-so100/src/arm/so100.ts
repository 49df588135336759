import { fromRollPitchYaw, type Transform, type Vec3 } from './transform.ts';

/** The joints of an SO-100/SO-101 arm from the base outwards, as LeRobot orders them. */
export const JOINTS = ['shoulder_pan', 'shoulder_lift', 'elbow_flex', 'wrist_flex', 'wrist_roll', 'gripper'] as const;

/** Names of state and action values in LeRobot's recordings of these arms. */
export const JOINT_NAMES: readonly string[] = JOINTS.map((joint) => `${joint}.pos`);

/** Joint angles of the five arm joints in radians, gripper opening angle last. */
export type JointAngles = readonly [number, number, number, number, number, number];

interface JointModel {
  /** Frame of the joint in the link before it; the joint turns about its z axis. Metres. */
  readonly frame: Transform;
  /** Radians. */
  readonly lower: number;
  readonly upper: number;
}

/**
 * Geometry and limits of the SO-101 follower, from `Simulation/SO101/so101_new_calib.urdf` of TheRobotStudio/SO-ARM100
 * (Apache-2.0): in its calibration every joint's zero is the middle of its range. Angles of 1e-8 and below, left over
 * from the CAD export, are written as 0.
 */
const MODEL: readonly JointModel[] = [
  joint([0.0388353, 0, 0.0624], [Math.PI, 0, -Math.PI], -1.91986, 1.91986),
  joint([-0.0303992, -0.0182778, -0.0542], [-Math.PI / 2, -Math.PI / 2, 0], -1.74533, 1.74533),
  joint([-0.11257, -0.028, 0], [0, 0, Math.PI / 2], -1.69, 1.69),
  joint([-0.1349, 0.0052, 0], [0, 0, -Math.PI / 2], -1.65806, 1.65806),
  joint([0, -0.0611, 0.0181], [Math.PI / 2, 0.0486795, Math.PI], -2.74385, 2.84121),
  joint([0.0202, 0.0188, -0.0234], [Math.PI / 2, 0, 0], -0.174533, 1.74533),
];

function joint(origin: Vec3, rollPitchYaw: Vec3, lower: number, upper: number): JointModel {
  return { frame: fromRollPitchYaw(origin, rollPitchYaw), lower, upper };
}

export const JOINT_FRAMES: readonly Transform[] = MODEL.map(({ frame }) => frame);

/** The axis of `shoulder_pan`. */
export const SHOULDER: Vec3 = JOINT_FRAMES[0]!.origin;

/** Lower and upper limits in radians. */
export const JOINT_LIMITS: readonly { readonly lower: number; readonly upper: number }[] = MODEL;

/**
 * The point between the open fingers that is brought over a thing's middle, in the frame of the link that carries the
 * fixed finger: 8 mm behind the finger tips, and far enough from the fixed finger to come down beside the thing. The
 * fingers point along −z, the moving one opens towards +x.
 */
export const GRASP_POINT: Vec3 = [0.0155, 0, -0.092];

/** `wrist_roll` with which the fingers close sideways, however far the hand leans forwards: both finger tips are equally low. */
export const SIDEWAYS = Math.PI / 2;

/** The inner face of the fixed finger, x in the same frame: a thing that is held lies against it. */
export const FIXED_FINGER_FACE = -0.0059;

const DEGREES = 180 / Math.PI;

/** Angles as LeRobot records them: degrees for the arm, 0 (closed) … 100 (open) for the gripper. */
export function toRecordedUnits(angles: JointAngles): number[] {
  const { lower, upper } = JOINT_LIMITS[5]!;
  return angles.map((angle, index) => (index === 5 ? ((angle - lower) / (upper - lower)) * 100 : angle * DEGREES));
}

/** Angles from values as LeRobot records them; see {@link toRecordedUnits}. */
export function fromRecordedUnits(values: ArrayLike<number>): JointAngles {
  return Array.from(values, (value, index) => (index === 5 ? gripperAngle(value) : value / DEGREES)) as unknown as JointAngles;
}

/** One count of a 12-bit servo encoder, radians. */
const ENCODER_STEP = (2 * Math.PI) / 4096;

/** The nearest angles that the servos' encoders read, inside the limits. */
export function quantize(angles: JointAngles): JointAngles {
  return angles.map((angle, joint) => {
    const { lower, upper } = JOINT_LIMITS[joint]!;
    const count = Math.round(angle / ENCODER_STEP);
    const inside = Math.min(Math.max(count, Math.ceil(lower / ENCODER_STEP)), Math.floor(upper / ENCODER_STEP));
    return inside * ENCODER_STEP;
  }) as unknown as JointAngles;
}

/** The opening angle of a gripper at `percent` (0 closed … 100 open). */
export function gripperAngle(percent: number): number {
  const { lower, upper } = JOINT_LIMITS[5]!;
  return lower + (percent / 100) * (upper - lower);
}

/** Each angle moved into its joint's range. */
export function clampToLimits(angles: JointAngles): JointAngles {
  return angles.map((angle, index) => {
    const { lower, upper } = JOINT_LIMITS[index]!;
    return Math.min(Math.max(angle, lower), upper);
  }) as unknown as JointAngles;
}

/** Distance between the fingers at {@link GRASP_POINT} when the gripper is closed to 0°, metres. */
const GAP_AT_ZERO = 0.0151;
/** From the moving finger's axis to the grasp point, along the fingers, metres. */
const FINGER_REACH = 0.0686;

/** How far the gripper (0 … 100) closes on an object of a width given in metres. */
export function gripperOpeningFor(width: number): number {
  const { lower, upper } = JOINT_LIMITS[5]!;
  const angle = Math.atan((width - GAP_AT_ZERO) / FINGER_REACH);
  return ((Math.max(angle, lower) - lower) / (upper - lower)) * 100;
}
