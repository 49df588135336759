import { clampToLimits, GRASP_POINT, JOINT_FRAMES, JOINT_LIMITS, type JointAngles } from './so100.ts';
import { apply, compose, IDENTITY, rotate, rotationZ, type Transform, type Vec3 } from './transform.ts';

/** The frame of each link, base (at the table, z up) first: the link after joint `i` is entry `i + 1`. */
export type LinkFrames = readonly Transform[];

/** Where every link is when the joints are at `angles`. */
export function linkFrames(angles: JointAngles): LinkFrames {
  const frames: Transform[] = [IDENTITY];
  for (let joint = 0; joint < JOINT_FRAMES.length; joint++) {
    frames.push(compose(frames[joint]!, compose(JOINT_FRAMES[joint]!, rotationZ(angles[joint]!))));
  }
  return frames;
}

/** Link after `wrist_roll`: it carries the fixed finger. */
export const HAND = 5;

/** What the hand is asked to do: five numbers for five joints. */
export interface HandPose {
  /** Point between the finger tips, metres. */
  readonly position: Vec3;
  /** Angle of the fingers against straight down, radians: 0 points at the table, π/2 forwards. */
  readonly tilt: number;
  /** `wrist_roll` in radians. */
  readonly roll: number;
}

/** The hand's pose at `angles`. */
export function handPose(angles: JointAngles): HandPose {
  const hand = linkFrames(angles)[HAND]!;
  const fingers = rotate(hand, [0, 0, -1]);
  const outward = panDirection(angles[0]);
  const forward = fingers[0] * outward[0] + fingers[1] * outward[1];
  return { position: apply(hand, GRASP_POINT), tilt: Math.atan2(forward, -fingers[2]), roll: angles[4] };
}

/** Horizontal direction that the arm's plane points in. */
function panDirection(pan: number): readonly [number, number] {
  return [Math.cos(pan), -Math.sin(pan)];
}

export interface InverseKinematics {
  /** Within the joints' limits; the gripper as in the start. */
  readonly angles: JointAngles;
  /** Distance left between the hand and where it should be, metres. */
  readonly positionError: number;
  /** Angle left, radians. */
  readonly tiltError: number;
}

const ITERATIONS = 40;
const TOLERANCE = 1e-7;
/** Metres that one radian of tilt counts for. */
const TILT_WEIGHT = 0.1;
const DAMPING = 1e-6;
const STEP = 1e-6;
/** Radians a joint may move in one iteration, so that a far target does not throw the arm about. */
const MAX_STEP = 0.4;

/**
 * Joint angles that bring the hand to `target`, by damped least squares from `start` (Levenberg–Marquardt with a
 * numeric Jacobian); joints stop at their limits, so an unreachable target leaves an error instead of failing.
 */
export function inverseKinematics(target: HandPose, start: JointAngles): InverseKinematics {
  let angles = clampToLimits([start[0], start[1], start[2], start[3], target.roll, start[5]]);
  let residual = residualOf(angles, target);
  for (let iteration = 0; iteration < ITERATIONS && norm(residual) > TOLERANCE; iteration++) {
    const step = solveStep(jacobian(angles, residual, target), residual);
    const largest = Math.max(...step.map(Math.abs));
    const shrink = largest > MAX_STEP ? MAX_STEP / largest : 1;
    const [pan, lift, elbow, wrist, roll, gripper] = angles;
    angles = clampToLimits([
      pan + shrink * step[0]!,
      lift + shrink * step[1]!,
      elbow + shrink * step[2]!,
      wrist + shrink * step[3]!,
      roll,
      gripper,
    ]);
    residual = residualOf(angles, target);
  }
  return {
    angles,
    positionError: Math.hypot(residual[0]!, residual[1]!, residual[2]!),
    tiltError: Math.abs(residual[3]!) / TILT_WEIGHT,
  };
}

/** Joints that inverse kinematics moves: pan, lift, elbow, wrist. Roll is given. */
const MOVED = 4;

function residualOf(angles: JointAngles, target: HandPose): number[] {
  const { position, tilt } = handPose(angles);
  return [
    target.position[0] - position[0],
    target.position[1] - position[1],
    target.position[2] - position[2],
    TILT_WEIGHT * wrapped(target.tilt - tilt),
  ];
}

/** The same direction as an angle from −π to π: fingers pointing up have a tilt of both. */
function wrapped(angle: number): number {
  return angle - 2 * Math.PI * Math.round(angle / (2 * Math.PI));
}

function jacobian(angles: JointAngles, residual: readonly number[], target: HandPose): number[][] {
  const columns = Array.from({ length: MOVED }, (_, joint) => {
    const moved = [...angles] as unknown as [number, number, number, number, number, number];
    moved[joint]! += STEP;
    const after = residualOf(moved, target);
    const derivative = after.map((value, row) => (residual[row]! - value) / STEP);
    // A joint at its limit that would be pushed beyond cannot help: leave its share to the others.
    const { lower, upper } = JOINT_LIMITS[joint]!;
    const pull = derivative.reduce((sum, value, row) => sum + value * residual[row]!, 0);
    const blocked = (angles[joint]! >= upper && pull > 0) || (angles[joint]! <= lower && pull < 0);
    return blocked ? derivative.map(() => 0) : derivative;
  });
  return columns;
}

/** `(JᵀJ + λI)⁻¹ Jᵀ r`, with J given by columns, by Gaussian elimination. */
function solveStep(columns: readonly (readonly number[])[], residual: readonly number[]): number[] {
  const rows = columns.map((column, i) => [
    ...columns.map((other, j) => column.reduce((sum, v, k) => sum + v * other[k]!, 0) + (i === j ? DAMPING : 0)),
    column.reduce((sum, v, k) => sum + v * residual[k]!, 0),
  ]);
  const size = rows.length;
  for (let pivot = 0; pivot < size; pivot++) {
    for (let row = pivot + 1; row < size; row++) {
      const factor = rows[row]![pivot]! / rows[pivot]![pivot]!;
      for (let k = pivot; k <= size; k++) rows[row]![k]! -= factor * rows[pivot]![k]!;
    }
  }
  const solution = new Array<number>(size).fill(0);
  for (let row = size - 1; row >= 0; row--) {
    let value = rows[row]![size]!;
    for (let k = row + 1; k < size; k++) value -= rows[row]![k]! * solution[k]!;
    solution[row] = value / rows[row]![row]!;
  }
  return solution;
}

function norm(values: readonly number[]): number {
  return Math.hypot(...values);
}
