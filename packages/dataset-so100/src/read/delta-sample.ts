import type { RgbImage } from '@zk0/core';
import type { LeRobotDataset } from './lerobot-dataset.ts';

/** One item as LeRobot's dataset gives it for `delta_timestamps`. */
export interface DeltaSample {
  readonly episodeIndex: number;
  /** Position in the episode. */
  readonly frameIndex: number;
  /** Seconds since the start of the episode, as recorded. */
  readonly timestamp: number;
  readonly task: string;
  /** A row for each delta asked for, one where none are. */
  readonly state: Float32Array;
  readonly action: Float32Array;
  /** By camera; an image for each delta. */
  readonly images: Readonly<Record<string, readonly RgbImage[]>>;
  /** By feature that deltas were asked for: 1 where the delta leads out of the episode, whose end is repeated there. */
  readonly isPad: Readonly<Record<string, Uint8Array>>;
}

/** LeRobot's own tolerance for deltas that are no multiples of the frame's duration, in seconds. */
const TOLERANCE = 1e-4;

const STATE = 'observation.state';
const ACTION = 'action';

/**
 * Turns times relative to a frame into frames relative to it, as LeRobot does.
 *
 * @param seconds multiples of `1 / fps`, negative for the past
 * @throws RangeError when one is none
 */
export function deltaFrames(seconds: readonly number[], fps: number): number[] {
  return seconds.map((delta) => {
    const frames = Math.round(delta * fps);
    if (!(Math.abs(delta - frames / fps) <= TOLERANCE)) {
      throw new RangeError(`A delta of ${delta} s is no multiple of the ${(1 / fps).toFixed(6)} s between frames`);
    }
    return frames;
  });
}

/**
 * One sample with its past and future: for each feature (`observation.state`, `action`, or a camera) the values at
 * the times asked for, relative to the frame. Features not named are given at the frame itself; images only of the
 * cameras in `cameraKeys`.
 *
 * @param deltas feature → seconds, LeRobot's `delta_timestamps`
 * @throws RangeError when a delta is no multiple of the frame's duration, or names no feature
 */
export async function readDeltaSample(
  dataset: LeRobotDataset,
  frame: number,
  deltas: Readonly<Record<string, readonly number[]>>,
  cameraKeys: readonly string[] = dataset.info.cameras.map((camera) => camera.key),
): Promise<DeltaSample> {
  const { info } = dataset;
  const { episode, position } = dataset.locate(frame);
  const { episodeIndex, from, to } = info.episodes[episode]!;
  const features = [STATE, ACTION, ...cameraKeys];
  const unknown = Object.keys(deltas).find((key) => !features.includes(key));
  if (unknown !== undefined) throw new RangeError(`Deltas for "${unknown}", which is none of ${features.join(', ')}`);
  const isPad: Record<string, Uint8Array> = {};
  const framesOf = (feature: string): number[] => {
    const seconds = deltas[feature];
    if (seconds === undefined) return [frame];
    const frames = deltaFrames(seconds, info.fps).map((offset) => frame + offset);
    isPad[feature] = Uint8Array.from(frames, (at) => (at < from || at >= to ? 1 : 0));
    return frames.map((at) => Math.min(Math.max(at, from), to - 1));
  };
  const state = concatenate(framesOf(STATE).map((at) => dataset.state(at)));
  const action = concatenate(framesOf(ACTION).map((at) => dataset.actionChunk(at, 1).actions));
  const images: Record<string, readonly RgbImage[]> = {};
  for (const key of cameraKeys) {
    images[key] = (await Promise.all(framesOf(key).map((at) => dataset.images(at, [key])))).flat();
  }
  return { episodeIndex, frameIndex: position, timestamp: dataset.timestamp(frame), task: dataset.task(frame), state, action, images, isPad };
}

function concatenate(rows: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(rows.reduce((sum, row) => sum + row.length, 0));
  let at = 0;
  for (const row of rows) {
    all.set(row, at);
    at += row.length;
  }
  return all;
}
