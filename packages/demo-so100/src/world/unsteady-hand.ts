import type { Random } from '@zk0/core';
import { clampToLimits, quantize, toRecordedUnits, type JointAngles } from '../arm/so100.ts';

/** A hand's unsteadiness on the leader arm: radians, and how much of it lasts for a tenth of a second. */
const WOBBLE = 0.005;
const WOBBLE_MEMORY = 0.8;

/** What leads an arm has to know of it. */
interface LedArm {
  readonly info: { readonly fps: number };
  /** How far gravity and motion pull the servos from their goals in the present pose, radians. */
  droop(): JointAngles;
}

/** A hand on a leader arm: it trembles a little, and leads by what the servos droop under load. */
export class UnsteadyHand {
  readonly #arm: LedArm;
  readonly #random: Random;
  readonly #memory: number;
  #wobble = new Array<number>(6).fill(0);

  constructor(arm: LedArm, random: Random) {
    this.#arm = arm;
    this.#random = random;
    this.#memory = WOBBLE_MEMORY ** (10 / arm.info.fps);
  }

  /** The action that has the arm follow a command, in recorded units. */
  follow(command: JointAngles): number[] {
    const fresh = WOBBLE * Math.sqrt(1 - this.#memory ** 2);
    this.#wobble = this.#wobble.map((value) => this.#memory * value + fresh * this.#random.normal());
    const droop = this.#arm.droop();
    const led = command.map((angle, joint) => angle + this.#wobble[joint]! + (joint === 5 ? 0 : droop[joint]!));
    return toRecordedUnits(quantize(clampToLimits(led as unknown as JointAngles)));
  }
}
