import type { MjData, MjModel } from '@mujoco/mujoco';
import type { LinkFrames } from '../arm/kinematics.ts';
import { IDENTITY, type Transform, type Vec3 } from '../arm/transform.ts';
import type { JointAngles } from '../arm/so100.ts';
import { DemoError } from '../errors.ts';
import type { ThingModel } from '../render/scene.ts';
import { loadEngine, type Engine } from './engine.ts';
import { quaternionOf } from './quaternion.ts';
import { sceneXml, SENSORS_PER_THING, TIME_STEP, type PhysicsSettings } from './scene-xml.ts';

const JOINT_COUNT = 6;
/** Bodies before those of the things that are handled: the world, the base, six links. */
const BASE_BODY = 1;
const FIRST_THING_BODY = BASE_BODY + JOINT_COUNT + 1;

/** What the arm does to a thing that is handled. */
export interface ThingContacts {
  readonly fixedFinger: boolean;
  readonly movingFinger: boolean;
  /** Any part of the arm, the fingers included. */
  readonly arm: boolean;
}

/** The physics of one scene: an arm with position servos, things that can be moved, others that stay. */
export class Simulation {
  readonly #engine: Engine;
  readonly #model: MjModel;
  readonly #data: MjData;
  readonly #timeStep: number;

  private constructor(engine: Engine, model: MjModel, timeStep: number) {
    this.#engine = engine;
    this.#model = model;
    this.#timeStep = timeStep;
    this.#data = new engine.MjData(model);
  }

  /**
   * @throws DemoError `PHYSICS_MISSING`; `PHYSICS_FAILED` when the engine does not take the scene.
   */
  static async create(handled: readonly ThingModel[], fixed: readonly ThingModel[], settings: PhysicsSettings = {}): Promise<Simulation> {
    const engine = await loadEngine();
    const model = compile(engine, sceneXml(handled, fixed, settings));
    return new Simulation(engine, model, settings.timeStep ?? TIME_STEP);
  }

  /** Puts everything where it starts, at rest; the servos hold the arm where it is. */
  reset(arm: JointAngles, handled: readonly Transform[], fixed: readonly Transform[]): void {
    const data = this.#data;
    this.#engine.mj_resetData(this.#model, data);
    const qpos = data.qpos as Float64Array;
    qpos.set([...arm, ...handled.flatMap((pose) => [...pose.origin, ...quaternionOf(pose)])]);
    (data.ctrl as Float64Array).set(arm);
    const positions = data.mocap_pos as Float64Array;
    const rotations = data.mocap_quat as Float64Array;
    fixed.forEach((pose, index) => {
      positions.set(pose.origin, 3 * index);
      rotations.set(quaternionOf(pose), 4 * index);
    });
    this.#engine.mj_forward(this.#model, data);
  }

  /**
   * Lets `seconds` pass; the servos' goals move evenly to `goals` within that time.
   *
   * @throws DemoError `PHYSICS_FAILED` when the state is no longer finite.
   */
  advance(goals: JointAngles, seconds: number): void {
    const steps = Math.max(1, Math.round(seconds / this.#timeStep));
    const from = this.goals();
    const ctrl = this.#data.ctrl as Float64Array;
    for (let step = 1; step <= steps; step++) {
      for (let joint = 0; joint < JOINT_COUNT; joint++) {
        ctrl[joint] = from[joint]! + (goals[joint]! - from[joint]!) * (step / steps);
      }
      this.#engine.mj_step(this.#model, this.#data);
    }
    if (!(this.#data.qpos as Float64Array).every(Number.isFinite)) {
      throw new DemoError('PHYSICS_FAILED', 'the physics engine lost the scene: its state is no longer finite', {
        hint: 'Report the task and the seed.',
      });
    }
  }

  /** What the servos are told to hold, radians. */
  goals(): JointAngles {
    return Array.from(this.#data.ctrl as Float64Array) as unknown as JointAngles;
  }

  /** Joint angles, radians. */
  angles(): JointAngles {
    return Array.from((this.#data.qpos as Float64Array).subarray(0, JOINT_COUNT)) as unknown as JointAngles;
  }

  /** How far each servo is pulled from its goal by gravity and motion in the present pose, radians. */
  droop(): JointAngles {
    const stiffness = (this.#model.actuator_gainprm as Float64Array)[0]!;
    const load = (this.#data.qfrc_bias as Float64Array).subarray(0, JOINT_COUNT);
    return Array.from(load, (torque) => torque / stiffness) as unknown as JointAngles;
  }

  /** Frames of the base and the six links. */
  links(): LinkFrames {
    return Array.from({ length: JOINT_COUNT + 1 }, (_, link) => this.#bodyFrame(BASE_BODY + link));
  }

  /** Frame of a thing that is handled: the centre of its underside. */
  thing(index = 0): Transform {
    return this.#bodyFrame(FIRST_THING_BODY + index);
  }

  contacts(index = 0): ThingContacts {
    const [fixedFinger, movingFinger, arm] = (this.#data.sensordata as Float64Array).subarray(index * SENSORS_PER_THING, (index + 1) * SENSORS_PER_THING);
    return { fixedFinger: fixedFinger! > 0, movingFinger: movingFinger! > 0, arm: arm! > 0 };
  }

  /** Frees the engine's memory. */
  close(): void {
    this.#data.delete();
    this.#model.delete();
  }

  #bodyFrame(body: number): Transform {
    const p = (this.#data.xpos as Float64Array).subarray(3 * body, 3 * body + 3);
    // Row-major: the columns are the frame's axes.
    const m = (this.#data.xmat as Float64Array).subarray(9 * body, 9 * body + 9);
    const column = (axis: number): Vec3 => [m[axis]!, m[axis + 3]!, m[axis + 6]!];
    return { ...IDENTITY, x: column(0), y: column(1), z: column(2), origin: [p[0]!, p[1]!, p[2]!] };
  }
}

function compile(engine: Engine, xml: string): MjModel {
  try {
    return engine.MjModel.from_xml_string(xml);
  } catch (error) {
    throw new DemoError('PHYSICS_FAILED', 'the physics engine does not take the scene', { cause: error, hint: 'Report the task.' });
  }
}
