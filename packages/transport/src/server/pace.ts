import type { Socket } from 'node:net';

/** How slow a peer may be. */
export interface Pace {
  /** Fewest bytes a second, as a mean over a window. */
  readonly minBytesPerSecond: number;
  /** Length of a window, in ms. */
  readonly windowMs: number;
}

/**
 * Cuts a connection on which too little moves: a peer that sends or reads a byte now and then would otherwise hold a place as long as
 * it likes.
 *
 * @param direction - `bytesRead` while the peer sends a body, `bytesWritten` while it is sent one
 * @returns what ends the watch
 */
export function watchPace(socket: Socket, direction: 'bytesRead' | 'bytesWritten', { minBytesPerSecond, windowMs }: Pace): () => void {
  const least = (minBytesPerSecond * windowMs) / 1000;
  let before = socket[direction];
  const timer = setInterval(() => {
    const now = socket[direction];
    if (now - before < least) socket.destroy();
    before = now;
  }, windowMs);
  timer.unref();
  const stop = (): void => { clearInterval(timer); };
  socket.once('close', stop);
  return () => {
    stop();
    socket.off('close', stop);
  };
}
