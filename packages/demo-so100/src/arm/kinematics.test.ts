import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HAND, handPose, inverseKinematics, linkFrames } from './kinematics.ts';
import {
  clampToLimits,
  GRASP_POINT,
  gripperAngle,
  JOINT_FRAMES,
  JOINT_LIMITS,
  JOINTS,
  toRecordedUnits,
  type JointAngles,
} from './so100.ts';
import { apply, distance, dot, fromRollPitchYaw, type Vec3 } from './transform.ts';

const ZERO: JointAngles = [0, 0, 0, 0, 0, 0];
const unit = fc.double({ min: 0, max: 1, noNaN: true });

/** Any angles within the limits. */
const anyAngles = fc
  .tuple(unit, unit, unit, unit, unit, unit)
  .map(
    (fractions) =>
      fractions.map(
        (f, joint) => JOINT_LIMITS[joint]!.lower + f * (JOINT_LIMITS[joint]!.upper - JOINT_LIMITS[joint]!.lower),
      ) as unknown as JointAngles,
  );

describe('linkFrames', () => {
  it('stretches the arm forwards at zero, as the URDF does', () => {
    const frames = linkFrames(ZERO);
    // The fixed finger's tip, `gripper_frame` of the URDF.
    const tip = apply(frames[HAND]!, [-0.0079, -0.000218121, -0.0981274]);
    expect(tip[0]).toBeCloseTo(0.3914, 3);
    expect(tip[1]).toBeCloseTo(0, 3);
    expect(tip[2]).toBeCloseTo(0.2265, 3);
  });

  it('keeps every frame orthonormal', () => {
    fc.assert(
      fc.property(anyAngles, (angles) => {
        for (const { x, y, z } of linkFrames(angles)) {
          for (const [a, b, product] of [
            [x, x, 1],
            [y, y, 1],
            [z, z, 1],
            [x, y, 0],
            [y, z, 0],
            [z, x, 0],
          ] as const) {
            expect(dot(a, b)).toBeCloseTo(product, 9);
          }
        }
      }),
    );
  });

  it('turns left when shoulder_pan falls: its axis points down', () => {
    expect(handPose([-0.5, 0, 0, 0, 0, 0]).position[1]).toBeGreaterThan(0.1);
  });

  it('opens the moving finger away from the fixed one', () => {
    const gapAt = (percent: number): number => {
      const frames = linkFrames([0, 0, 0, 0, 0, gripperAngle(percent)]);
      return distance(apply(frames[HAND + 1]!, [0, -0.07, 0]), apply(frames[HAND]!, GRASP_POINT));
    };
    expect(gapAt(60)).toBeGreaterThan(gapAt(10) + 0.03);
  });
});

describe('inverseKinematics', () => {
  it('finds its way back from forward kinematics', () => {
    // Bent well away from both limits and from stretched out, where the way back is not unique.
    const bent = fc
      .tuple(unit, unit, unit, unit, unit, unit)
      .map(([pan, lift, elbow, wrist, roll, gripper]): JointAngles => [
        1.8 * (2 * pan - 1),
        -1 + 1.4 * lift,
        0.2 + 1.2 * elbow,
        -0.8 + 2 * wrist,
        2.7 * (2 * roll - 1),
        gripper,
      ]);
    fc.assert(
      fc.property(bent, fc.tuple(unit, unit, unit, unit), (angles, nudges) => {
        const target = handPose(angles);
        const start = angles.map(
          (angle, joint) => angle + 0.2 * ((nudges[joint] ?? 0.5) - 0.5),
        ) as unknown as JointAngles;
        const solved = inverseKinematics(target, start);
        expect(solved.positionError).toBeLessThan(1e-5);
        expect(solved.tiltError).toBeLessThan(1e-4);
        const reached = handPose(solved.angles);
        expect(distance(reached.position, target.position)).toBeLessThan(1e-5);
        expect(reached.roll).toBeCloseTo(target.roll, 9);
      }),
    );
  });

  it('reaches every pose of the workplace to a hundredth of a millimetre', () => {
    const start: JointAngles = [0, -0.4, 0.6, 0.9, 0, 0];
    fc.assert(
      fc.property(unit, unit, unit, fc.double({ min: -1, max: 1, noNaN: true }), (r, a, h, roll) => {
        const [reach, angle] = [0.16 + 0.11 * r, 1.6 * (a - 0.5)];
        const position: Vec3 = [
          JOINT_FRAMES[0]!.origin[0] + reach * Math.cos(angle),
          reach * Math.sin(angle),
          0.016 + 0.1 * h,
        ];
        const { angles, positionError, tiltError } = inverseKinematics(
          { position, tilt: 0.34 + 2.4 * (reach - 0.16), roll },
          start,
        );
        expect(positionError).toBeLessThan(1e-5);
        expect(tiltError).toBeLessThan(1e-4);
        expect(angles).toEqual(clampToLimits(angles));
      }),
    );
  });

  it('stops at the limits before a target out of reach, and says by how much it misses', () => {
    const { angles, positionError } = inverseKinematics({ position: [1, 0, 0.1], tilt: 1, roll: 9 }, ZERO);
    expect(positionError).toBeGreaterThan(0.4);
    expect(angles).toEqual(clampToLimits(angles));
    expect(angles[4]).toBe(JOINT_LIMITS[4]!.upper);
  });
});

describe('toRecordedUnits', () => {
  it('gives degrees, and 0 … 100 for the gripper', () => {
    expect(toRecordedUnits([Math.PI / 2, 0, -Math.PI / 4, 0, 0, gripperAngle(25)])).toEqual([
      90,
      0,
      -45,
      0,
      0,
      expect.closeTo(25, 9),
    ]);
  });
});

const URDF = path.join(
  process.env['ZK0_TEST_DATA'] ?? path.resolve(import.meta.dirname, '../../../../../shared/data'),
  'so101_urdf/so101_new_calib.urdf',
);

describe.skipIf(!existsSync(URDF))('the URDF of the SO-101 (needs ../shared/data or ZK0_TEST_DATA)', () => {
  it.each(JOINTS.map((name, index) => ({ name, index })))('$name is where and how far it says', ({ name, index }) => {
    const source = readFileSync(URDF, 'utf8');
    const joint = new RegExp(`<joint name="${name}" type="revolute">([\\s\\S]*?)</joint>`).exec(source)![1]!;
    const numbers = (attribute: string): number[] =>
      new RegExp(`${attribute}="([^"]+)"`).exec(joint)![1]!.split(' ').map(Number);
    expect(numbers('axis xyz')).toEqual([0, 0, 1]);
    expect(JOINT_LIMITS[index]!.lower).toBe(numbers('lower')[0]);
    expect(JOINT_LIMITS[index]!.upper).toBe(numbers('upper')[0]);
    const expected = fromRollPitchYaw(numbers('<origin xyz') as unknown as Vec3, numbers('rpy') as unknown as Vec3);
    for (const part of ['x', 'y', 'z', 'origin'] as const) {
      JOINT_FRAMES[index]![part].forEach((value, i) => {
        expect(value).toBeCloseTo(expected[part][i]!, 4);
      });
    }
  });
});
