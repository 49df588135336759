import { DemoError } from '../errors.ts';
import type { Color } from '../render/rasterizer.ts';
import type { Surroundings, ThingModel } from '../render/scene.ts';

/** What the arm does with `target`. */
export type DemoAction =
  /** Pick the target up and put it into or onto the goal. */
  | { readonly kind: 'place'; readonly goal: ThingModel }
  /** Push the target sideways; `direction` 1 is to the robot's left. */
  | { readonly kind: 'push'; readonly direction: 1 | -1 }
  /** Pick the target up, hold it, put it back. */
  | { readonly kind: 'lift' }
  /** Hold the closed gripper over the target. */
  | { readonly kind: 'point' };

/** A task together with the place it is done in; every node of a demo federation gets another one. */
export interface DemoTask {
  readonly name: string;
  /** The instruction, as it is recorded. */
  readonly text: string;
  readonly action: DemoAction;
  readonly target: ThingModel;
  /** Things that only lie about. */
  readonly clutter: readonly ThingModel[];
  readonly surroundings: Surroundings;
}

const RED: Color = [206, 44, 40];
const BLUE: Color = [42, 92, 196];
const GREEN: Color = [48, 152, 72];
const YELLOW: Color = [236, 192, 42];
const ORANGE: Color = [236, 122, 34];
const PURPLE: Color = [130, 62, 168];
const WHITE: Color = [232, 230, 224];
const TEAL: Color = [40, 150, 150];
const PINK: Color = [232, 128, 160];
const CHARCOAL: Color = [60, 62, 68];

/** As wide as the pads of the fingers. */
const CUBE = { kind: 'cube', size: 0.03 } as const;
const BALL = { kind: 'ball', radius: 0.02 } as const;
const CAN = { kind: 'cylinder', radius: 0.018, height: 0.055 } as const;
const BOWL = { kind: 'bowl', radius: 0.055, height: 0.032 } as const;

/** The tasks of the demo maker, by name. */
export const demoTasks: readonly DemoTask[] = [
  {
    name: 'cube-to-bowl',
    text: 'Pick up the red cube and put it in the bowl.',
    action: { kind: 'place', goal: { shape: BOWL, color: WHITE } },
    target: { shape: CUBE, color: RED },
    clutter: [],
    surroundings: {
      table: {
        pattern: 'planks',
        colors: [
          [176, 130, 84],
          [158, 112, 70],
        ],
      },
      wall: [196, 204, 212],
      arm: [242, 168, 34],
      light: [-0.35, 0.5, 1],
      camera: [0.454, -0.224, 0.403],
    },
  },
  {
    name: 'push-block-left',
    text: 'Push the blue block to the left.',
    action: { kind: 'push', direction: 1 },
    target: { shape: { kind: 'block', length: 0.06, size: 0.038 }, color: BLUE },
    clutter: [{ shape: BALL, color: ORANGE }],
    surroundings: {
      table: {
        pattern: 'plain',
        colors: [
          [214, 212, 206],
          [214, 212, 206],
        ],
      },
      wall: [120, 134, 128],
      arm: [232, 232, 230],
      light: [0.3, 0.6, 0.8],
      camera: [0.471, 0.138, 0.386],
    },
  },
  {
    name: 'stack-cubes',
    text: 'Stack the green cube on the yellow cube.',
    action: { kind: 'place', goal: { shape: { kind: 'cube', size: 0.042 }, color: YELLOW } },
    target: { shape: CUBE, color: GREEN },
    clutter: [],
    surroundings: {
      table: {
        pattern: 'checks',
        colors: [
          [92, 104, 122],
          [80, 92, 110],
        ],
      },
      wall: [214, 200, 182],
      arm: [226, 206, 170],
      light: [0.5, -0.4, 1],
      camera: [0.437, -0.172, 0.438],
    },
  },
  {
    name: 'point-at-ball',
    text: 'Point at the orange ball.',
    action: { kind: 'point' },
    target: { shape: { kind: 'ball', radius: 0.026 }, color: ORANGE },
    clutter: [
      { shape: CUBE, color: TEAL },
      { shape: { kind: 'cylinder', radius: 0.02, height: 0.045 }, color: PINK },
    ],
    surroundings: {
      table: {
        pattern: 'stripes',
        colors: [
          [188, 200, 176],
          [172, 186, 160],
        ],
      },
      wall: [90, 100, 118],
      arm: [70, 120, 200],
      light: [-0.2, -0.6, 0.9],
      camera: [0.488, 0.017, 0.369],
    },
  },
  {
    name: 'can-to-tray',
    text: 'Put the purple can on the tray.',
    action: {
      kind: 'place',
      goal: { shape: { kind: 'tray', width: 0.1, depth: 0.12, height: 0.014 }, color: CHARCOAL },
    },
    target: { shape: CAN, color: PURPLE },
    clutter: [{ shape: CUBE, color: WHITE }],
    surroundings: {
      table: {
        pattern: 'planks',
        colors: [
          [214, 190, 152],
          [200, 174, 134],
        ],
      },
      wall: [236, 232, 224],
      arm: [40, 150, 90],
      light: [0.6, 0.3, 1],
      camera: [0.454, 0.206, 0.403],
    },
  },
  {
    name: 'lift-can',
    text: 'Lift the yellow can and put it back.',
    action: { kind: 'lift' },
    target: { shape: CAN, color: YELLOW },
    clutter: [{ shape: { kind: 'block', length: 0.05, size: 0.03 }, color: CHARCOAL }],
    surroundings: {
      table: {
        pattern: 'plain',
        colors: [
          [74, 82, 78],
          [74, 82, 78],
        ],
      },
      wall: [164, 150, 140],
      arm: [214, 76, 52],
      light: [0.1, 0.7, 0.7],
      camera: [0.419, -0.258, 0.369],
    },
  },
  {
    name: 'ball-to-mat',
    text: 'Move the pink ball onto the round mat.',
    action: { kind: 'place', goal: { shape: { kind: 'mat', radius: 0.05 }, color: TEAL } },
    target: { shape: BALL, color: PINK },
    clutter: [{ shape: CAN, color: ORANGE }],
    surroundings: {
      table: {
        pattern: 'checks',
        colors: [
          [206, 196, 186],
          [226, 218, 208],
        ],
      },
      wall: [110, 92, 84],
      arm: [150, 152, 158],
      light: [-0.5, 0.1, 0.9],
      camera: [0.454, -0.069, 0.438],
    },
  },
  {
    name: 'push-can-right',
    text: 'Push the green can to the right.',
    action: { kind: 'push', direction: -1 },
    target: { shape: { kind: 'cylinder', radius: 0.025, height: 0.05 }, color: GREEN },
    clutter: [{ shape: CUBE, color: BLUE }],
    surroundings: {
      table: {
        pattern: 'stripes',
        colors: [
          [150, 96, 74],
          [136, 84, 62],
        ],
      },
      wall: [226, 220, 196],
      arm: [238, 214, 60],
      light: [0.4, -0.5, 1],
      camera: [0.454, -0.172, 0.386],
    },
  },
];

/**
 * The demo task of that name.
 *
 * @throws DemoError `DEMO_TASK_UNKNOWN`
 */
export function findTask(name: string): DemoTask {
  const task = demoTasks.find((candidate) => candidate.name === name);
  if (task !== undefined) return task;
  throw new DemoError('DEMO_TASK_UNKNOWN', `there is no demo task ${JSON.stringify(name)}`, {
    hint: `Choose one of: ${demoTasks.map((candidate) => candidate.name).join(', ')}.`,
  });
}
