import type { LinkFrames } from './kinematics.ts';
import { box, cylinder, finger, type Mesh } from './mesh.ts';
import type { Color, Solid } from './rasterizer.ts';
import { compose, fromRollPitchYaw, IDENTITY, type Transform } from './transform.ts';

/** Dark grey of the servo motors. */
const SERVO: Color = [38, 40, 46];

interface Part {
  /** Index into the arm's link frames. */
  readonly link: number;
  readonly mesh: Mesh;
  /** `print`: the colour the arm was printed in. */
  readonly material: 'print' | 'servo';
  /** Where the mesh sits in the link's frame. */
  readonly pose: Transform;
}

function part(link: number, material: Part['material'], mesh: Mesh, pose: Transform = IDENTITY): Part {
  return { link, material, mesh, pose };
}

/** The moving finger points along −y of its link; the finger mesh along −z. */
const MOVING_FINGER = fromRollPitchYaw([-0.007, -0.038, 0.0188], [-Math.PI / 2, 0, 0]);

/**
 * The arm as boxes: printed beams between the joints and a servo at each, sized after the SO-101's parts. The links'
 * frames lie 18 mm beside the arm's middle plane from the shoulder to the wrist, hence the 0.018 in z.
 */
const PARTS: readonly Part[] = [
  part(0, 'print', box([0.115, 0.09, 0.05], [0.02, 0, 0.025])),
  part(0, 'servo', cylinder(0.032, 0.03, 12), { ...IDENTITY, origin: [0.0388, 0, 0.062] }),
  part(1, 'print', box([0.062, 0.066, 0.07], [-0.02, 0, -0.04])),
  part(2, 'servo', box([0.034, 0.034, 0.074], [0, 0, 0.018])),
  part(2, 'print', box([0.118, 0.034, 0.046], [-0.058, -0.01, 0.018])),
  part(2, 'servo', box([0.034, 0.034, 0.066], [-0.1126, -0.028, 0.018])),
  part(3, 'print', box([0.128, 0.03, 0.042], [-0.066, 0.003, 0.018])),
  part(3, 'servo', box([0.032, 0.032, 0.06], [-0.1349, 0.0052, 0.018])),
  part(4, 'print', box([0.036, 0.046, 0.04], [0, -0.03, 0.018])),
  part(4, 'servo', box([0.034, 0.022, 0.034], [0, -0.056, 0.018])),
  part(5, 'print', box([0.05, 0.048, 0.026], [0.004, 0, -0.013])),
  part(5, 'servo', box([0.03, 0.03, 0.036], [0.024, 0.012, -0.022])),
  part(5, 'print', finger([0.008, 0.026, 0.08], [-0.0099, 0, -0.06], 0.5)),
  part(6, 'print', finger([0.008, 0.026, 0.076], [0, 0, 0], 0.5), MOVING_FINGER),
];

/** The arm's solids when its links are at `frames`. */
export function armSolids(frames: LinkFrames, print: Color): Solid[] {
  return PARTS.map(({ link, mesh, material, pose }) => ({
    mesh,
    pose: compose(frames[link]!, pose),
    color: material === 'servo' ? SERVO : print,
  }));
}
