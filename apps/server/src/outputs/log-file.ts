import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readLog } from '@zk0/cli';
import { Zk0Error } from '@zk0/core';
import type { LogSource } from '@zk0/transport';

/** The log in a folder: a simulation's, a server's or a run's; `undefined` when there is none. */
export function logFileOf(folder: string): string | undefined {
  return ['simulation.log', 'server.log', join('server', 'server.log')].map((name) => join(folder, name)).find((file) => existsSync(file));
}

/**
 * The logs of a server, for operators elsewhere.
 *
 * @param folder where the log of a run is, or of the server itself
 */
export function logSource(folder: (runId: string | undefined) => string): LogSource {
  return async function* ({ runId, ...wanted }) {
    // A run's id becomes part of a path.
    const file = runId === undefined || /^[\w-]{1,100}$/.test(runId) ? logFileOf(folder(runId)) : undefined;
    if (file === undefined) {
      throw new Zk0Error('LOG_NOT_FOUND', runId === undefined ? 'the server writes no log' : `there is no log of a run ${runId}`, {
        hint: 'See `zk0-server status` for the runs that there are.',
      });
    }
    yield* readLog(file, wanted);
  };
}
