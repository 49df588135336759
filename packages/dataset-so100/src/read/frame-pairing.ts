import type { FrameClock } from '../video/frame-clock.ts';

/** By what the frame of a row is found: its position in the episode, or its timestamp. */
export type Pairing = 'position' | 'timestamp';

/** A camera's part of a video that an episode may use. */
export interface FrameSpan {
  readonly clock: FrameClock;
  /** Seconds into the video at which the episode begins. */
  readonly from: number;
  /** Frames from there to the next episode, or to the end of the file; infinity where nothing says it. */
  readonly frames: number;
}

/** What was decided about an episode. */
export interface PairingDecision {
  /** Null where neither is sure. */
  readonly pairing: Pairing | null;
  /** Why it is not the usual case in which both find the same frames; null where it is. */
  readonly why: string | null;
}

/** How far a timestamp may lie from the frame that it names, in seconds: LeRobot's own tolerance. */
export const TIMESTAMP_TOLERANCE = 1e-4;

/** Timestamps are stored as float32. */
const FLOAT32_EPSILON = 2 ** -23;

/**
 * Decides how an episode's rows are paired with the frames of its videos.
 *
 * Position and timestamp name the same frames in most recordings. Where they do not, the frames themselves tell: timestamps that
 * all lie on frames, in a video with more frames than rows, are what is left of rows that were cut out of it; timestamps on
 * no frames, in videos with as many frames as rows, are a clock that drifts from the frame rate. Where it is neither, nothing is sure.
 *
 * @param timestamps of the rows, in seconds since the episode's beginning
 */
export function decidePairing(timestamps: Float64Array, spans: readonly FrameSpan[], fps: number): PairingDecision {
  if (spans.length === 0 || spans.every((span) => isSame(timestamps, span, fps))) return { pairing: 'position', why: null };
  const rows = timestamps.length;
  const onFrames = spans.every((span) => lieOnFrames(timestamps, span));
  const fill = spans.every(({ frames }) => frames === rows);
  const frames = [...new Set(spans.map((span) => span.frames))].join(' and ');
  if (onFrames && !fill) {
    return { pairing: 'timestamp', why: `its ${rows} timestamps lie on frames of a video that has ${frames} for it, other ones than position gives` };
  }
  if (fill && !onFrames) {
    return { pairing: 'position', why: `its timestamps lie on no frames, and its videos have as many frames as it has rows, ${rows}` };
  }
  const why = onFrames
    ? `its timestamps lie on frames, and its videos have as many frames as it has rows, ${rows}`
    : `its timestamps lie on no frames, and its videos have ${frames} frames for its ${rows} rows`;
  return { pairing: null, why };
}

/** Seconds from the episode's beginning at which the frame of a position is shown. */
export function positionTime({ clock, from }: Pick<FrameSpan, 'clock' | 'from'>, position: number, fps: number): number {
  return clock.step === null ? clock.timeOf(clock.nearest(from) + position) - from : position / fps;
}

function isSame(timestamps: Float64Array, span: FrameSpan, fps: number): boolean {
  return timestamps.every((time, position) => Math.abs(time - positionTime(span, position, fps)) < 0.5 / fps);
}

/** Whether every timestamp names a frame of the span, each a later one than the row before. */
function lieOnFrames(timestamps: Float64Array, { clock, from, frames }: FrameSpan): boolean {
  const first = clock.nearest(from);
  let last = first - 1;
  for (const time of timestamps) {
    const frame = clock.nearest(from + time);
    const tolerance = TIMESTAMP_TOLERANCE + Math.abs(time) * FLOAT32_EPSILON;
    if (frame <= last || frame >= first + frames || Math.abs(clock.timeOf(frame) - from - time) > tolerance) return false;
    last = frame;
  }
  return true;
}
