import { InvalidArgumentError, Random, type ActOutcome, type RgbImage, type TrialFailure, type World, type WorldInfo, type WorldObservation } from '@zk0/core';
import { HAND, type LinkFrames } from '../arm/kinematics.ts';
import { JOINT_NAMES, toRecordedUnits, type JointAngles } from '../arm/so100.ts';
import { Simulation } from '../physics/simulation.ts';
import type { Thing } from '../render/scene.ts';
import { demoCameras, DemoView } from '../render/view.ts';
import { findTask, type DemoTask } from '../tasks/demo-tasks.ts';
import { Judge } from '../tasks/judge.ts';
import { layOut } from '../tasks/layout.ts';
import { placeNamed } from '../tasks/places.ts';
import { encoderState, restingPose, servoGoals } from './arm-commands.ts';
import { Expert } from './expert.ts';

/** Seconds after which a trial without success has failed; the expert takes 7. */
const TRIAL_SECONDS = 12;

export interface DemoWorldOptions {
  /** Name of one of the demo tasks. */
  readonly task: string;
  /** Restricts where the target lies to one of the task's places. */
  readonly place?: string;
  /** Actions and frames per second, 5 … 30. Default 10. */
  readonly fps?: number;
  /** Picture size, even numbers of pixels. Default 128 × 96. */
  readonly width?: number;
  readonly height?: number;
}

/**
 * An SO-101 arm with position servos at a table, in real contact physics (MuJoCo): what it does not grasp it does not
 * lift. States and actions are joint angles in degrees and the gripper's opening from 0 to 100, as LeRobot records them.
 */
export class DemoWorld implements World {
  readonly info: WorldInfo;
  readonly task: DemoTask;
  readonly #place: string | undefined;
  readonly #simulation: Simulation;
  readonly #view: DemoView;
  #things: readonly Thing[] = [];
  #judge: Judge | undefined;

  private constructor(task: DemoTask, options: DemoWorldOptions, simulation: Simulation) {
    const { place, fps = 10, width = 128, height = 96 } = options;
    this.task = task;
    this.#place = place;
    this.#simulation = simulation;
    this.#view = new DemoView(task.surroundings, width, height);
    this.info = {
      name: `demo:${task.name}`,
      ...(place === undefined ? {} : { place }),
      task: task.text,
      robotType: 'so100_follower',
      fps,
      maxSteps: Math.round(TRIAL_SECONDS * fps),
      stateNames: JOINT_NAMES,
      actionNames: JOINT_NAMES,
      cameras: demoCameras(width, height),
    };
  }

  /**
   * Builds the world of a task; call `reset` before anything else.
   *
   * @throws DemoError `DEMO_TASK_UNKNOWN`, `PHYSICS_MISSING`
   * @throws InvalidArgumentError for a frame rate out of range
   */
  static async create(options: DemoWorldOptions): Promise<DemoWorld> {
    const { fps = 10 } = options;
    if (!Number.isInteger(fps) || fps < 5 || fps > 30) {
      throw new InvalidArgumentError(`fps is ${fps}; it must be a whole number from 5 to 30`);
    }
    const task = findTask(options.task);
    if (options.place !== undefined) placeNamed(task, options.place);
    const fixed = [...(task.action.kind === 'place' ? [task.action.goal] : []), ...task.clutter];
    return new DemoWorld(task, options, await Simulation.create([task.target], fixed));
  }

  reset(seed: string): void {
    const random = new Random(seed);
    this.#things = layOut(this.task, this.#place, random);
    const [target, ...fixed] = this.#things as [Thing, ...Thing[]];
    this.#simulation.reset(restingPose(random), [target.pose], fixed.map(({ pose }) => pose));
    const goal = this.task.action.kind === 'place' ? fixed[0] : undefined;
    this.#judge = new Judge(this.task.action, target, goal, this.info.fps);
  }

  observe(): WorldObservation {
    const render = (): Record<string, RgbImage> => this.#view.render(this.links(), this.things());
    let images: Record<string, RgbImage> | undefined;
    return {
      state: this.state(),
      task: this.task.text,
      get images(): Record<string, RgbImage> {
        return (images ??= render());
      },
    };
  }

  act(action: ArrayLike<number>): ActOutcome {
    const { goals, clamped } = servoGoals(action);
    this.#simulation.advance(goals, 1 / this.info.fps);
    this.#watch();
    return { clamped };
  }

  success(): boolean {
    return this.#judge?.done ?? false;
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

  /** Everything on the table as it is now; the target is the first. */
  things(): readonly Thing[] {
    const [target, ...fixed] = this.#things;
    return target === undefined ? [] : [{ ...target, pose: this.#simulation.thing() }, ...fixed];
  }

  /** The scripted expert, planned from what lies on the table now: call it after `reset`. */
  expert(seed: string): Expert {
    return new Expert(this, seed);
  }

  /** How far gravity and motion pull the servos from their goals in the present pose, radians. */
  droop(): JointAngles {
    return this.#simulation.droop();
  }

  #watch(): void {
    const simulation = this.#simulation;
    this.#judge?.observe({
      hand: simulation.links()[HAND]!,
      opening: toRecordedUnits(simulation.angles())[5]!,
      target: simulation.thing(),
      contacts: simulation.contacts(),
    });
  }
}
