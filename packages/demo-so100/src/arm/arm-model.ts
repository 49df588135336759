import { box, cylinder, finger, type Mesh } from '../render/mesh.ts';
import type { Color, Solid } from '../render/rasterizer.ts';
import type { LinkFrames } from './kinematics.ts';
import { compose, fromRollPitchYaw, IDENTITY, type Transform, type Vec3 } from './transform.ts';

/** Dark grey of the servo motors. */
const SERVO: Color = [38, 40, 46];

/** A box of the arm: what is drawn, and what touches things. */
export interface ArmPart {
  /** Index into the arm's link frames. */
  readonly link: number;
  /** `print`: the colour the arm was printed in. */
  readonly material: 'print' | 'servo';
  readonly shape: 'box' | 'cylinder' | 'finger';
  /** Edge lengths in metres; of a cylinder: diameter, diameter, height. */
  readonly size: Vec3;
  readonly center: Vec3;
  /** Where the part's axes sit in the link's frame. */
  readonly pose: Transform;
}

function part(link: number, material: ArmPart['material'], size: Vec3, center: Vec3, shape: ArmPart['shape'] = 'box', pose = IDENTITY): ArmPart {
  return { link, material, shape, size, center, pose };
}

/** The moving finger points along −y of its link; the finger's own axis is −z. */
const MOVING_FINGER = fromRollPitchYaw([-0.007, -0.038, 0.0188], [-Math.PI / 2, 0, 0]);

/**
 * The arm as boxes: printed beams between the joints and a servo at each, sized after the SO-101's parts. The links'
 * frames lie 18 mm beside the arm's middle plane from the shoulder to the wrist, hence the 0.018 in z.
 */
export const ARM_PARTS: readonly ArmPart[] = [
  part(0, 'print', [0.115, 0.09, 0.05], [0.02, 0, 0.025]),
  part(0, 'servo', [0.064, 0.064, 0.03], [0.0388, 0, 0.062], 'cylinder'),
  part(1, 'print', [0.062, 0.066, 0.07], [-0.02, 0, -0.04]),
  part(2, 'servo', [0.034, 0.034, 0.074], [0, 0, 0.018]),
  part(2, 'print', [0.118, 0.034, 0.046], [-0.058, -0.01, 0.018]),
  part(2, 'servo', [0.034, 0.034, 0.066], [-0.1126, -0.028, 0.018]),
  part(3, 'print', [0.128, 0.03, 0.042], [-0.066, 0.003, 0.018]),
  part(3, 'servo', [0.032, 0.032, 0.06], [-0.1349, 0.0052, 0.018]),
  part(4, 'print', [0.036, 0.046, 0.04], [0, -0.03, 0.018]),
  part(4, 'servo', [0.034, 0.022, 0.034], [0, -0.056, 0.018]),
  part(5, 'print', [0.05, 0.048, 0.026], [0.004, 0, -0.013]),
  part(5, 'servo', [0.03, 0.03, 0.036], [0.024, 0.012, -0.022]),
  part(5, 'print', [0.008, 0.026, 0.08], [-0.0099, 0, -0.06], 'finger'),
  part(6, 'print', [0.008, 0.026, 0.076], [0, 0, 0], 'finger', MOVING_FINGER),
];

/** How much narrower a finger's tip is than its root. */
const FINGER_TAPER = 0.5;

const MESHES: readonly Mesh[] = ARM_PARTS.map(({ shape, size, center }) => {
  if (shape === 'cylinder') return cylinder(size[0] / 2, size[2], 12, center);
  return shape === 'finger' ? finger(size, center, FINGER_TAPER) : box(size, center);
});

/** The arm's solids when its links are at `frames`. */
export function armSolids(frames: LinkFrames, print: Color): Solid[] {
  return ARM_PARTS.map(({ link, material, pose }, index) => ({
    mesh: MESHES[index]!,
    pose: compose(frames[link]!, pose),
    color: material === 'servo' ? SERVO : print,
  }));
}
