import { closeSync, createReadStream, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** How often a followed file is looked at. */
const POLL_MS = 300;
const PIECE_BYTES = 64 * 1024;

/** What {@link readLog} reads. */
export interface ReadLogOptions {
  /** Lines from the end to begin with; 0: all. */
  readonly lines: number;
  /** Go on with what is added, until `signal` aborts. */
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

/** The text of a log file: its last lines, and then what is added. A file that was put aside is gone on with from the start of the new one. */
export async function* readLog(file: string, { lines, follow, signal }: ReadLogOptions): AsyncGenerator<Buffer, void> {
  let position = lines === 0 ? 0 : startOfLastLines(file, lines);
  do {
    const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
    if (size < position) position = 0;
    if (size > position) {
      for await (const chunk of createReadStream(file, { start: position, end: size - 1 })) yield chunk as Buffer;
      position = size;
    }
    if (follow && !signal.aborted) await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
  } while (follow && !signal.aborted);
}

/** Where the last `count` lines of a file begin, found from its end. */
function startOfLastLines(file: string, count: number): number {
  const handle = openSync(file, 'r');
  try {
    const piece = Buffer.alloc(PIECE_BYTES);
    let left = count;
    // A line break at the very end closes the last line and begins none.
    for (let end = fstatSync(handle).size - 1; end > 0; ) {
      const start = Math.max(0, end - PIECE_BYTES);
      const read = readSync(handle, piece, 0, end - start, start);
      for (let at = read - 1; at >= 0; at--) if (piece[at] === 0x0a && --left === 0) return start + at + 1;
      end = start;
    }
    return 0;
  } finally {
    closeSync(handle);
  }
}
