import type { Random } from '@zk0/core';
import { SHOULDER } from '../arm/so100.ts';
import type { Vec3 } from '../arm/transform.ts';
import { FLOOR } from '../render/mesh.ts';
import type { Color } from '../render/rasterizer.ts';
import { standing, type Surroundings, type Thing, type ThingModel } from '../render/scene.ts';
import type { Overview } from '../render/view.ts';

/** The repository on the hub that the task is of, and its name in an address: `envhub:so101-tabletop-mujoco`. */
export const TABLETOP_REPOSITORY = 'lerobot/so101-tabletop-mujoco';
export const TABLETOP_NAME = 'so101-tabletop-mujoco';

/** The instruction, as the model card has it. */
export const TABLETOP_TEXT = 'Put all the cubes in the green box.';

/** Actions per second, and steps of the physics for each: 8 are said of the Isaac Sim version. */
export const TABLETOP_FPS = 30;
export const TABLETOP_TIME_STEP = 1 / (8 * TABLETOP_FPS);

/** Pixels of both cameras. */
export const TABLETOP_PICTURE = { width: 640, height: 480 } as const;

/** Seconds after which a trial without success has failed. */
export const TABLETOP_SECONDS = 60;

const CUBE_SIZE = 0.03;
const CUBE_COLORS: readonly Color[] = [
  [206, 44, 40],
  [48, 152, 72],
  [42, 92, 196],
  [236, 192, 42],
];

/** The cubes, in the order red, green, blue, yellow. */
export const TABLETOP_CUBES: readonly ThingModel[] = CUBE_COLORS.map((color) => ({ shape: { kind: 'cube', size: CUBE_SIZE }, color }));

/** Outer edges and height, metres. */
const BOX = { width: 0.14, depth: 0.14, height: 0.05 } as const;
export const TABLETOP_BOX: ThingModel = { shape: { kind: 'tray', ...BOX }, color: [58, 170, 84] };
/** Half of the box's inside. */
export const BOX_INSIDE = BOX.width / 2 - FLOOR;

export const TABLETOP_SURROUNDINGS: Surroundings = {
  table: {
    pattern: 'planks',
    colors: [
      [186, 148, 104],
      [172, 134, 92],
    ],
  },
  wall: [222, 220, 214],
  arm: [64, 200, 196],
  light: [-0.3, 0.4, 1],
  camera: [0.62, 0, 0.42],
};

/** What the front camera looks at, and how wide it sees. */
export const FRONT_CAMERA: Overview = { key: 'observation.images.front', target: [0.17, 0, 0.035], fieldOfView: 0.8 };

/** What the sources do not say, and what was put in its place; it goes with every number. */
export const TABLETOP_NOTES: readonly string[] = [
  `This is a re-creation of ${TABLETOP_REPOSITORY} after its model card; its source was not available, and its numbers need not be those of LeRobot's own environment.`,
  'After the card: four cubes of 3 cm, a green open box, the instruction, cameras front and wrist of 640 × 480 pixels, joint targets in degrees with the gripper from 0 to 100, 30 actions a second, and the share of the cubes in the box as the score.',
  'Assumed: where cubes, box and cameras stand and how far they are moved at a reset, a fixed box of 14 × 14 × 5 cm, the resting pose, masses, friction and servo gains, a trial of at most 60 seconds.',
  'Assumed, and perhaps stricter than the original: a trial has succeeded when all four cubes lie at rest in the box and the arm touches none of them.',
  'The arm, the cubes and the box are drawn as plain shapes of the same size, in a room without furniture.',
];

/** Where things stand before they are moved: metres from the shoulder's axis, radians from straight ahead (to the left is positive). */
const CUBE_SPOTS: readonly Polar[] = [
  { reach: 0.215, angle: -0.3 },
  { reach: 0.215, angle: 0.11 },
  { reach: 0.215, angle: 0.52 },
  { reach: 0.215, angle: 0.93 },
];
const BOX_SPOT: Polar = { reach: 0.21, angle: -1 };
/** How far a reset moves them at most, metres and radians. */
const CUBE_MOVED = { reach: 0.022, angle: 0.06, turn: 0.35 } as const;
const BOX_MOVED = { reach: 0.01, angle: 0.05 } as const;
const CAMERA_MOVED = 0.015;

interface Polar {
  readonly reach: number;
  readonly angle: number;
}

/** What a reset lays out: the cubes, the box, and where the front camera stands. */
export interface TabletopLayout {
  readonly cubes: readonly Thing[];
  readonly box: Thing;
  readonly camera: Vec3;
}

export function layOutTabletop(random: Random): TabletopLayout {
  const around = (value: number, by: number): number => value + by * (2 * random.uniform() - 1);
  const near = ({ reach, angle }: Polar, moved: Polar): { readonly position: Vec3; readonly angle: number } => {
    const at = { reach: around(reach, moved.reach), angle: around(angle, moved.angle) };
    return { position: [SHOULDER[0] + at.reach * Math.cos(at.angle), SHOULDER[1] + at.reach * Math.sin(at.angle), 0], angle: at.angle };
  };
  const cubes = TABLETOP_CUBES.map((model, index) => {
    const { position, angle } = near(CUBE_SPOTS[index]!, CUBE_MOVED);
    return standing(model, position, around(angle, CUBE_MOVED.turn));
  });
  const { position, angle } = near(BOX_SPOT, BOX_MOVED);
  const [x, y, z] = TABLETOP_SURROUNDINGS.camera;
  return {
    cubes,
    box: standing(TABLETOP_BOX, position, angle),
    camera: [around(x, CAMERA_MOVED), around(y, CAMERA_MOVED), around(z, CAMERA_MOVED)],
  };
}
