import { createHash } from 'node:crypto';
import { datasetProfile, Random, type ClientProfile, type RobotDataset, type RobotDatasetInfo } from '@zk0/core';
import { momentsOf } from '../src/stats/moments.ts';
import { unitsOf } from '../src/units/units-of.ts';
import type { UnitConvention } from '../src/units/infer-units.ts';
import type { DatasetInfo } from '../src/format/info.ts';

export const NAMES = {
  since2025: ['shoulder_pan.pos', 'shoulder_lift.pos', 'elbow_flex.pos', 'wrist_flex.pos', 'wrist_roll.pos', 'gripper.pos'],
  before2025: ['main_shoulder_pan', 'main_shoulder_lift', 'main_elbow_flex', 'main_wrist_flex', 'main_wrist_roll', 'main_gripper'],
  urdf: ['Rotation', 'Pitch', 'Elbow', 'Wrist_Pitch', 'Wrist_Roll', 'Jaw'],
  numbered: ['joint1', 'joint2', 'joint3', 'joint4', 'joint5', 'joint6'],
  none: [0, 1, 2, 3, 4, 5].map((i) => `observation.state.${i}`),
} as const;

/** An arm with its own calibration, and how its recorder writes values down. */
export interface ArmOptions {
  readonly units: UnitConvention;
  readonly seed: number;
  readonly names?: readonly string[];
  /** Order in which the joints are recorded. */
  readonly order?: readonly number[];
  readonly robotType?: string;
  readonly fps?: number;
  readonly frames?: number;
  readonly version?: 'v2.1' | 'v3.0';
  /** Filtered or simulated: no encoder's steps are left. */
  readonly isSmooth?: boolean;
  /** Degrees that the leader's joints are calibrated off. */
  readonly leaderOffset?: number;
  /** Counts a turn that the driver divides by. */
  readonly resolution?: 4095 | 4096;
  /** Share of the whole movement that is made. */
  readonly reach?: number;
  /** Degrees of shoulder lift at rest. */
  readonly rest?: number;
  /** Degrees (gripper: per cent) of all joints at rest, from which they move; default folded up. */
  readonly home?: readonly number[];
  /** Joints that stay where they are. */
  readonly still?: readonly number[];
  /** Units of the last episode, where it is recorded in others. */
  readonly lastUnits?: UnitConvention;
  readonly stated?: UnitConvention;
}

/** A recording of an arm, and what really happened. */
export interface RecordedArm {
  readonly profile: ClientProfile['dataset'];
  readonly dataset: RobotDataset;
  /** States in degrees from the middle of each joint's range, grippers in per cent, in LeRobot's order. */
  readonly truth: Float32Array;
  readonly actionTruth: Float32Array;
  readonly offsets: readonly number[];
}

/** Rest pose and how far a task moves each joint from it, in degrees; gripper in per cent. */
const REST = [0, -95, 90, 70, 5, 5];
const WORK = [25, 20, -20, 5, 0, 50];

/** Records a made-up task: from rest to work and back, over and over. */
export function recordArm(options: ArmOptions): RecordedArm {
  const { units, seed, frames = 900, fps = 30, robotType = 'so101_follower', version = 'v3.0', isSmooth = false, reach = 1, resolution = 4095 } = options;
  const names = options.names ?? NAMES.since2025;
  const order = options.order ?? [0, 1, 2, 3, 4, 5];
  const random = new Random(seed);
  const ranges = [2400, 2290, 2200, 2150, 3900, 1400].map((ticks) => ticks + random.below(160) - 80);
  const episodes = 3;
  const length = frames / episodes;
  const truth = new Float32Array(frames * 6);
  const actionTruth = new Float32Array(frames * 6);
  const goals = Array.from({ length: episodes }, () => WORK.map((value) => value + 12 * (random.uniform() - 0.5)));
  const lag = 3;
  const pose = (frame: number, joint: number): number => {
    const episode = Math.min(episodes - 1, Math.floor(frame / length));
    const phase = Math.min(1, Math.max(0, (frame - episode * length) / length));
    // Out, a while there, back, a while at rest.
    const way = phase < 0.35 ? phase / 0.35 : phase < 0.5 ? 1 : phase < 0.85 ? (0.85 - phase) / 0.35 : 0;
    const smooth = way * way * (3 - 2 * way);
    const sway = joint === 5 ? 0 : 4 * Math.sin(phase * 9 + joint) * (way > 0 && way < 1 ? 1 : 0);
    const rest = joint === 1 && options.rest !== undefined ? options.rest : (options.home ?? REST)[joint]!;
    if (options.still?.includes(joint) === true) return rest;
    return rest + reach * ((goals[episode]![joint]! - rest) * smooth + sway);
  };
  for (let frame = 0; frame < frames; frame++) {
    const first = Math.floor(frame / length) * length;
    for (let joint = 0; joint < 6; joint++) {
      truth[frame * 6 + joint] = pose(Math.max(first, frame - lag), joint);
      actionTruth[frame * 6 + joint] = pose(frame, joint) + (joint < 5 ? (options.leaderOffset ?? 0) : 0);
    }
  }
  const encode = (values: Float32Array, isLeader: boolean): Float32Array => {
    const own = isLeader ? ranges.map((range) => range - 37) : ranges;
    return Float32Array.from(values, (_, index) => {
      const [row, column] = [Math.floor(index / 6), index % 6];
      const joint = order[column]!;
      const recordedUnits = row >= (episodes - 1) * length ? (options.lastUnits ?? units) : units;
      return recordedValue(values[row * 6 + joint]!, joint, own[joint]!, recordedUnits, isSmooth, resolution);
    });
  };
  const state = encode(truth, false);
  const action = encode(actionTruth, true);
  if (!isSmooth) {
    for (const [recorded, real, isLeader] of [[state, truth, false], [action, actionTruth, true]] as const) {
      for (let i = 0; i < recorded.length; i++) {
        const [row, column] = [Math.floor(i / 6), i % 6];
        const joint = order[column]!;
        const own = isLeader ? ranges[joint]! - 37 : ranges[joint]!;
        const value = quantized(real[row * 6 + joint]!, joint, own);
        const end = (own / 2) * COUNT;
        // Normalised values end where the calibrated range does.
        real[row * 6 + joint] = units === 'normalized' && joint < 5 ? Math.min(end, Math.max(-end, value)) : value;
      }
    }
  }
  const recordedNames = order.map((joint) => names[joint]!);
  return assemble({ options, recordedNames, state, action, truth, actionTruth, robotType, version, fps, episodes, frames });
}

/** Two arms that work side by side, as one robot; `isRightFirst` in the order of their values. */
export function recordTwoArms(left: ArmOptions, right: ArmOptions, isRightFirst = false): RecordedArm {
  const arms = [recordArm(left), recordArm(right)] as const;
  const frames = arms[0].dataset.info.frameCount;
  const beside = (of: (arm: RecordedArm, frame: number) => ArrayLike<number>, sides: readonly RecordedArm[]): Float32Array =>
    Float32Array.from(Array.from({ length: frames }, (_, frame) => sides.flatMap((arm) => Array.from(of(arm, frame)))).flat());
  const sides = isRightFirst ? [arms[1], arms[0]] : arms;
  const names = (isRightFirst ? ['right', 'left'] : ['left', 'right']).flatMap((side) => NAMES.since2025.map((name) => `${side}_${name}`));
  return assemble({
    options: left,
    recordedNames: names,
    state: beside(({ dataset }, frame) => dataset.state(frame), sides),
    action: beside(({ dataset }, frame) => dataset.actionChunk(frame, 1).actions, sides),
    truth: beside(({ truth }, frame) => truth.subarray(frame * 6, frame * 6 + 6), arms),
    actionTruth: beside(({ actionTruth }, frame) => actionTruth.subarray(frame * 6, frame * 6 + 6), arms),
    robotType: 'bi_so101_follower',
    version: 'v3.0',
    fps: 30,
    episodes: 3,
    frames,
  });
}

interface Recorded extends Pick<RecordedArm, 'truth' | 'actionTruth'> {
  readonly options: ArmOptions;
  readonly recordedNames: readonly string[];
  readonly state: Float32Array;
  readonly action: Float32Array;
  readonly robotType: string;
  readonly version: string;
  readonly fps: number;
  readonly episodes: number;
  readonly frames: number;
}

function assemble({ options, recordedNames, state, action, truth, actionTruth, robotType, version, fps, episodes, frames }: Recorded): RecordedArm {
  const { seed } = options;
  const size = recordedNames.length;
  const length = frames / episodes;
  const parsed = { version, robotType, state: { key: 'observation.state', names: recordedNames }, action: { key: 'action', names: recordedNames } };
  const { joints } = unitsOf(parsed as unknown as DatasetInfo, { state, action }, options.stated);
  const hash = createHash('sha256').update(JSON.stringify([options, recordedNames])).digest('hex');
  const info: RobotDatasetInfo = {
    name: `arm-${seed}`,
    uri: `memory:${seed}`,
    contentHash: hash,
    robotType,
    fps,
    frameCount: frames,
    stateNames: recordedNames,
    actionNames: recordedNames,
    cameras: [{ key: 'observation.images.top', height: 8, width: 8 }],
    episodes: Array.from({ length: episodes }, (_, episodeIndex) => ({ episodeIndex, from: episodeIndex * length, to: (episodeIndex + 1) * length })),
    tasks: ['pick up the cube'],
    moments: { state: momentsOf(state, size), action: momentsOf(action, size) },
    joints,
    recording: hash,
  };
  const dataset: RobotDataset = {
    info,
    state: (frame) => state.slice(frame * size, frame * size + size),
    actionChunk: (frame, steps) => {
      const rows = Array.from({ length: steps }, (_, step) => Math.min(frame + step, frames - 1));
      return { actions: Float32Array.from(rows.flatMap((row) => [...action.subarray(row * size, row * size + size)])), isPad: new Uint8Array(steps) };
    },
    task: () => 'pick up the cube',
    images: () => Promise.resolve([]),
    close: () => Promise.resolve(),
  };
  return { profile: datasetProfile(info), dataset, truth, actionTruth, offsets: Array.from({ length: episodes + 1 }, (_, i) => i * length) };
}

const COUNT = 360 / 4095;

function ticksOf(value: number, joint: number, range: number): number {
  return joint === 5 ? Math.round((value / 100) * range) : Math.round(value / COUNT + range / 2);
}

/** What the encoder makes of a value, in degrees or per cent. */
function quantized(value: number, joint: number, range: number): number {
  const ticks = ticksOf(value, joint, range);
  return joint === 5 ? (ticks / range) * 100 : (ticks - range / 2) * COUNT;
}

function recordedValue(value: number, joint: number, range: number, units: UnitConvention, isSmooth: boolean, resolution: number): number {
  const real = isSmooth ? value : quantized(value, joint, range);
  const share = joint === 5 ? real / 100 : real / (range * COUNT);
  switch (units) {
    case 'degrees':
      return joint === 5 ? real : (real * 4095) / resolution;
    case 'degrees-2024':
      return joint === 1 ? 90 - real : joint === 2 ? real + 90 : real;
    case 'normalized':
      return joint === 5 ? real : Math.min(100, Math.max(-100, share * 200));
    case 'radians':
      return joint === 5 ? ((real / 100) * 110 - 10) * (Math.PI / 180) : real * (Math.PI / 180);
    case 'ticks':
      return 2048 + Math.round(joint === 5 ? share * range : real / COUNT);
  }
}
