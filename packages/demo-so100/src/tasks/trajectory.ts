import { handPose, inverseKinematics, type HandPose } from '../arm/kinematics.ts';
import type { ScriptStep } from './script.ts';
import { gripperAngle, SHOULDER, type JointAngles } from '../arm/so100.ts';

/** Seconds from the last step back to the resting pose, and of rest at the start and the end. */
const HOMING = 1.1;
const REST = 0.3;

/**
 * Joint angles commanded at each frame: the hand moves from step to step with minimum jerk (Flash & Hogan, 1985), in
 * cylinder coordinates about the shoulder so that it swings around the base; joints by inverse kinematics, each frame
 * started from the one before. Begins and ends at `rest`.
 */
export function trajectory(steps: readonly ScriptStep[], rest: JointAngles, fps: number): JointAngles[] {
  const home = handPose(rest);
  const commands: JointAngles[] = framesIn(REST, fps, () => rest);
  let angles = rest;
  let from = { pose: home, gripper: rest[5] };
  for (const step of steps) {
    const to = { pose: step.pose, gripper: gripperAngle(step.gripper) };
    const start = from;
    commands.push(
      ...framesIn(step.seconds, fps, (progress) => {
        const pose = between(start.pose, to.pose, progress);
        const gripper = start.gripper + (to.gripper - start.gripper) * progress;
        const solved = inverseKinematics(pose, angles).angles;
        angles = [solved[0], solved[1], solved[2], solved[3], solved[4], gripper];
        return angles;
      }),
    );
    from = to;
  }
  // Home in joint space: the resting pose is folded, straight lines to it would cross the base.
  const last = angles;
  commands.push(
    ...framesIn(HOMING, fps, (progress) => {
      const mixed = last.map((angle, joint) => angle + (rest[joint]! - angle) * progress);
      return mixed as unknown as JointAngles;
    }),
    ...framesIn(REST, fps, () => rest),
  );
  return commands;
}

/** `at` for each frame of a stretch of time; its argument runs from above 0 to 1 with minimum jerk. */
function framesIn(seconds: number, fps: number, at: (progress: number) => JointAngles): JointAngles[] {
  const frames = Math.max(1, Math.round(seconds * fps));
  return Array.from({ length: frames }, (_, frame) => at(minimumJerk((frame + 1) / frames)));
}

/** Position along a movement of minimum jerk: 0 → 1 with no speed or acceleration at either end. */
export function minimumJerk(time: number): number {
  return time ** 3 * (10 + time * (6 * time - 15));
}

function between(from: HandPose, to: HandPose, progress: number): HandPose {
  const mix = (a: number, b: number): number => a + (b - a) * progress;
  const [start, end] = [toCylinder(from.position), toCylinder(to.position)];
  const radius = mix(start.radius, end.radius);
  const angle = mix(start.angle, end.angle);
  return {
    position: [
      SHOULDER[0] + radius * Math.cos(angle),
      SHOULDER[1] + radius * Math.sin(angle),
      mix(from.position[2], to.position[2]),
    ],
    tilt: mix(from.tilt, to.tilt),
    roll: mix(from.roll, to.roll),
  };
}

function toCylinder([x, y]: HandPose['position']): { readonly radius: number; readonly angle: number } {
  return { radius: Math.hypot(x - SHOULDER[0], y - SHOULDER[1]), angle: Math.atan2(y - SHOULDER[1], x - SHOULDER[0]) };
}
