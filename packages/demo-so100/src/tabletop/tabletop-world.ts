import { InvalidArgumentError, Random, type ActOutcome, type RgbImage, type TrialFailure, type World, type WorldInfo, type WorldObservation } from '@zk0/core';
import { HAND, type LinkFrames } from '../arm/kinematics.ts';
import { JOINT_NAMES, type JointAngles } from '../arm/so100.ts';
import { Simulation } from '../physics/simulation.ts';
import type { Thing } from '../render/scene.ts';
import { DemoView, WRIST_CAMERA } from '../render/view.ts';
import { encoderState, restingPose, servoGoals } from '../world/arm-commands.ts';
import { TabletopExpert } from './tabletop-expert.ts';
import { TabletopJudge } from './tabletop-judge.ts';
import {
  FRONT_CAMERA,
  layOutTabletop,
  TABLETOP_BOX,
  TABLETOP_CUBES,
  TABLETOP_FPS,
  TABLETOP_NAME,
  TABLETOP_NOTES,
  TABLETOP_PICTURE,
  TABLETOP_SECONDS,
  TABLETOP_SURROUNDINGS,
  TABLETOP_TEXT,
  TABLETOP_TIME_STEP,
  type TabletopLayout,
} from './tabletop-task.ts';

const MAX_SECONDS = 600;
const MAX_PIXELS = 4096;

export interface TabletopWorldOptions {
  /** Seconds of a trial at most. Default 60. */
  readonly seconds?: number;
  /** Picture size, even numbers of pixels. Default 640 × 480, as LeRobot's. */
  readonly width?: number;
  readonly height?: number;
}

/**
 * LeRobot's task `so101-tabletop-mujoco`, re-created after its model card: an SO-101 arm puts four cubes into an open box.
 * `info.notes` says what the card leaves open and what was assumed. States and actions are joint angles in degrees and the
 * gripper's opening from 0 to 100; pictures are `observation.images.front` and `observation.images.wrist`.
 */
export class TabletopWorld implements World {
  readonly info: WorldInfo;
  readonly #simulation: Simulation;
  readonly #view: DemoView;
  #layout: TabletopLayout | undefined;
  #judge: TabletopJudge | undefined;

  private constructor(simulation: Simulation, seconds: number, width: number, height: number) {
    this.#simulation = simulation;
    this.#view = new DemoView(TABLETOP_SURROUNDINGS, width, height, FRONT_CAMERA);
    this.info = {
      name: `envhub:${TABLETOP_NAME}`,
      task: TABLETOP_TEXT,
      robotType: 'so101_follower',
      fps: TABLETOP_FPS,
      maxSteps: Math.round(seconds * TABLETOP_FPS),
      stateNames: JOINT_NAMES,
      actionNames: JOINT_NAMES,
      cameras: [FRONT_CAMERA.key, WRIST_CAMERA].map((key) => ({ key, width, height })),
      notes: TABLETOP_NOTES,
    };
  }

  /**
   * Builds the world; call `reset` before anything else.
   *
   * @throws DemoError `PHYSICS_MISSING`
   * @throws InvalidArgumentError for a setting out of range
   */
  static async create({ seconds = TABLETOP_SECONDS, width = TABLETOP_PICTURE.width, height = TABLETOP_PICTURE.height }: TabletopWorldOptions = {}): Promise<TabletopWorld> {
    if (!Number.isInteger(seconds) || seconds < 1 || seconds > MAX_SECONDS) {
      throw new InvalidArgumentError(`seconds is ${seconds}; it must be a whole number from 1 to ${MAX_SECONDS}`);
    }
    for (const [name, pixels] of Object.entries({ width, height })) {
      if (pixels % 2 !== 0 || pixels < 2 || pixels > MAX_PIXELS) {
        throw new InvalidArgumentError(`${name} is ${pixels}; it must be an even number from 2 to ${MAX_PIXELS}`);
      }
    }
    return new TabletopWorld(await Simulation.create(TABLETOP_CUBES, [TABLETOP_BOX], { timeStep: TABLETOP_TIME_STEP }), seconds, width, height);
  }

  reset(seed: string): void {
    const random = new Random(seed);
    const layout = layOutTabletop(random);
    this.#layout = layout;
    this.#simulation.reset(restingPose(random), layout.cubes.map(({ pose }) => pose), [layout.box.pose]);
    this.#view.moveOverview(layout.camera);
    this.#judge = new TabletopJudge(layout.cubes, layout.box, this.info.fps);
  }

  observe(): WorldObservation {
    const render = (): Record<string, RgbImage> => this.#view.render(this.links(), [...this.cubes(), this.box()]);
    let images: Record<string, RgbImage> | undefined;
    return {
      state: this.state(),
      task: this.info.task,
      get images(): Record<string, RgbImage> {
        return (images ??= render());
      },
    };
  }

  act(action: ArrayLike<number>): ActOutcome {
    const { goals, clamped } = servoGoals(action);
    this.#simulation.advance(goals, 1 / this.info.fps);
    this.#judge?.observe(
      this.links()[HAND]!,
      TABLETOP_CUBES.map((_, index) => ({ pose: this.#simulation.thing(index), contacts: this.#simulation.contacts(index) })),
    );
    return { clamped };
  }

  success(): boolean {
    return this.#judge?.done ?? false;
  }

  score(): number {
    return this.#judge?.most ?? 0;
  }

  failure(): TrialFailure {
    return this.#judge?.failure() ?? 'not-reached';
  }

  close(): void {
    this.#simulation.close();
  }

  /** What the encoders read: degrees, gripper 0 … 100. */
  state(): number[] {
    return encoderState(this.#simulation.angles());
  }

  /** Where the arm's links are. */
  links(): LinkFrames {
    return this.#simulation.links();
  }

  /** The cubes as they lie now: red, green, blue, yellow. */
  cubes(): readonly Thing[] {
    return this.#laidOut().cubes.map((cube, index) => ({ ...cube, pose: this.#simulation.thing(index) }));
  }

  box(): Thing {
    return this.#laidOut().box;
  }

  /** Whether a cube is in the box now. */
  isInBox(cube: number): boolean {
    return this.#judge?.isInBox(cube, this.#simulation.thing(cube)) ?? false;
  }

  /** The scripted expert: call it after `reset`. */
  expert(seed: string): TabletopExpert {
    return new TabletopExpert(this, seed);
  }

  /** How far gravity and motion pull the servos from their goals in the present pose, radians. */
  droop(): JointAngles {
    return this.#simulation.droop();
  }

  #laidOut(): TabletopLayout {
    if (this.#layout === undefined) throw new InvalidArgumentError('nothing is laid out before the first reset');
    return this.#layout;
  }
}
