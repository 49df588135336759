/**
 * When the frames of a video are shown, in seconds from its first one, ascending. A stream may begin later than its file; that time
 * is taken off, so that frame 0 is at 0.
 */
export interface FrameClock {
  readonly count: number;
  /** Seconds from each frame to the next where all are the same within a microsecond or a tick; null where they are not. */
  readonly step: number | null;
  /** @param frame from 0; beyond the last one a regular clock goes on, and an irregular one gives NaN */
  timeOf(frame: number): number;
  /** The frame shown nearest to a time. */
  nearest(time: number): number;
}

/** A clock of frames that follow each other at the same distance. */
export function regularClock(count: number, step: number): FrameClock {
  return {
    count,
    step,
    timeOf: (frame) => frame * step,
    nearest: (time) => Math.min(Math.max(0, Math.round(time / step)), Math.max(0, count - 1)),
  };
}

/**
 * A clock from presentation times in ticks, in any order.
 *
 * @param ticksPerSecond of the stream's time scale
 */
export function clockOfTicks(ticks: Float64Array, ticksPerSecond: number): FrameClock {
  const sorted = ticks.toSorted();
  const first = sorted[0] ?? 0;
  const count = sorted.length;
  const step = count < 2 ? 0 : (sorted[count - 1]! - first) / (count - 1);
  // Rates that are no whole number of ticks are rounded to whole ones.
  const slack = Math.max(1, ticksPerSecond * 1e-6);
  if (count < 2 || sorted.every((tick, frame) => Math.abs(tick - first - frame * step) <= slack)) {
    return regularClock(count, count < 2 ? 1 : step / ticksPerSecond);
  }
  const times = sorted.map((tick) => (tick - first) / ticksPerSecond);
  return { count, step: null, timeOf: (frame) => times[frame] ?? NaN, nearest: (time) => nearestIndex(times, time) };
}

function nearestIndex(times: Float64Array, time: number): number {
  let low = 0;
  let high = times.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (times[middle]! <= time) low = middle;
    else high = middle;
  }
  return time - times[low]! <= times[high]! - time ? low : high;
}
