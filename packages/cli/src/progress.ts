import { formatDuration } from './format.ts';
import { fitText, printable } from './text-width.ts';

/** Where some work stands. */
export interface ProgressState {
  /** What is being done: `client_0 training`. */
  readonly label: string;
  /** Units done and in all; leave `total` out where it is not known. */
  readonly done?: number;
  readonly total?: number;
  /** Anything more: a loss, a speed. The first part to be cut in a narrow terminal. */
  readonly detail?: string;
}

/** What {@link createProgress} writes to: a terminal, a pipe, a test. */
export interface ProgressStream {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

/** Options of {@link createProgress}. */
export interface ProgressOptions {
  /** Seconds between plain lines where the stream is no terminal. @default 10 */
  readonly plainIntervalS?: number;
  /** Writes nothing at all. @default false */
  readonly quiet?: boolean;
  /** Milliseconds, for tests. @default Date.now */
  readonly now?: () => number;
}

/** One live line on a terminal, or a plain line now and then elsewhere. */
export interface Progress {
  /** Shows `state`; cheap enough to call for every step. */
  update(state: ProgressState): void;
  /** A line that stays. */
  print(line: string): void;
  /** Where a logger may write its lines without breaking the live one. */
  readonly console: { write(text: string): void };
  /** Removes the live line, and leaves `summary` in its place where one is given. */
  finish(summary?: string): void;
}

/** A terminal is repainted at most this often. */
const REPAINT_MS = 80;
const BAR_WIDTH = 20;
const DEFAULT_COLUMNS = 80;
/** Below this width there is no room for a bar beside the label. */
const MIN_COLUMNS_FOR_BAR = 60;

/** Makes a progress display on `stream`; stdout stays free for results. */
export function createProgress(stream: ProgressStream = process.stderr, options: ProgressOptions = {}): Progress {
  if (options.quiet === true) return QUIET;
  const now = options.now ?? Date.now;
  return stream.isTTY === true
    ? liveProgress(stream, now)
    : plainProgress(stream, now, (options.plainIntervalS ?? 10) * 1000);
}

const QUIET: Progress = {
  update: () => undefined,
  print: () => undefined,
  console: { write: () => undefined },
  finish: () => undefined,
};

/** Lines that are shown on terminals now: an error must not be written behind one. */
const live = new Set<() => void>();

/** Removes every live line, before something is written that ends the program. */
export function clearLiveLines(): void {
  for (const clear of live) clear();
}

function liveProgress(stream: ProgressStream, now: () => number): Progress {
  const clear = '\r\u001b[K';
  const clock = new Stopwatch(now);
  let shown = '';
  let painted = -Infinity;

  const write = (text: string): void => {
    stream.write(shown === '' ? text : clear + text + shown);
  };
  const remove = (): void => {
    if (shown !== '') stream.write(clear);
    shown = '';
    live.delete(remove);
  };
  return {
    update: (state) => {
      const elapsed = clock.elapsed(state.label);
      if (now() - painted < REPAINT_MS && state.done !== state.total) return;
      painted = now();
      const columns = stream.columns ?? DEFAULT_COLUMNS;
      // One column stays free: text in the last one makes some terminals wrap.
      shown = fitText(describe(state, elapsed, columns >= MIN_COLUMNS_FOR_BAR), columns - 1);
      live.add(remove);
      stream.write(clear + shown);
    },
    print: (line) => {
      write(`${printable(line)}\n`);
    },
    console: { write },
    finish: (summary) => {
      remove();
      if (summary !== undefined) stream.write(`${printable(summary)}\n`);
    },
  };
}

function plainProgress(stream: ProgressStream, now: () => number, intervalMs: number): Progress {
  const clock = new Stopwatch(now);
  let written = now();
  return {
    update: (state) => {
      const elapsed = clock.elapsed(state.label);
      if (now() - written < intervalMs) return;
      written = now();
      stream.write(`${describe(state, elapsed, false)}\n`);
    },
    print: (line) => {
      stream.write(`${printable(line)}\n`);
    },
    console: { write: (text) => void stream.write(text) },
    finish: (summary) => {
      if (summary !== undefined) stream.write(`${printable(summary)}\n`);
    },
  };
}

/** Seconds since the work under the present label began. */
class Stopwatch {
  private readonly now: () => number;
  private label: string | undefined;
  private started = 0;

  constructor(now: () => number) {
    this.now = now;
  }

  elapsed(label: string): number {
    if (label !== this.label) {
      this.label = label;
      this.started = this.now();
    }
    return (this.now() - this.started) / 1000;
  }
}

function describe(state: ProgressState, elapsedS: number, bar: boolean): string {
  const { label, done, total, detail } = state;
  const parts = [label];
  if (done !== undefined && total !== undefined && total > 0) {
    const share = Math.min(1, Math.max(0, done / total));
    const filled = Math.floor(share * BAR_WIDTH);
    if (bar) parts.push('█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled));
    parts.push(`${done}/${total}`);
    if (share > 0 && share < 1 && elapsedS > 2) {
      parts.push(`${formatDuration((elapsedS / share) * (1 - share))} left`);
    }
  } else if (done !== undefined) {
    parts.push(String(done));
  }
  if (detail !== undefined) parts.push(detail);
  return printable(parts.join(' '));
}
