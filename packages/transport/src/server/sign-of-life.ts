import type { ServerResponse } from 'node:http';

/**
 * Waits for `work`, and meanwhile tells the peer now and then that it is being done (HTTP 102): neither side then takes
 * the silence for a broken line.
 */
export async function whileAlive<T>(response: ServerResponse, everyMs: number, work: Promise<T>): Promise<T> {
  const timer = setInterval(() => {
    if (!response.headersSent && response.writable) response.writeProcessing();
  }, everyMs);
  try {
    return await work;
  } finally {
    clearInterval(timer);
  }
}
