import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createProgress, parseDuration } from '@zk0/cli';
import { Zk0Error } from '@zk0/core';
import { Command } from 'commander';
import { sendKept, trackingFolder } from '../tracking/tracker-pool.ts';
import type { Run } from './run-action.ts';

/** `zk0-server track`: sends what trackers did not get while a run went on. */
export function trackCommand(run: Run): Command {
  return new Command('track')
    .description('Send what runs have kept for trackers that could not be reached. A tracker gets nothing twice.')
    .argument('<runs...>', 'folders of runs, or their ids below --out')
    .option('--out <dir>', 'outputs folder of the server', 'outputs')
    .option('--wait <duration>', 'how long to try: 30s, 10m, 12h', '1m')
    .option('--verbose', 'error codes and stacks with errors')
    .action((names: readonly string[], { out, wait }: { readonly out: string; readonly wait: string }) => {
      run(() => track(names.map((name) => (existsSync(name) ? name : join(out, name))), parseDuration('--wait', wait)));
    });
}

async function track(directories: readonly string[], ms: number): Promise<undefined> {
  const progress = createProgress(process.stderr);
  const print = (message: string): void => { progress.print(message); };
  let left = 0;
  try {
    for (const directory of directories) {
      if (!existsSync(trackingFolder(directory))) {
        throw new Zk0Error('RUN_FILES_UNREADABLE', `${directory} has kept nothing for a tracker`, { hint: 'Name folders of runs that were started with --track.' });
      }
      for (const { address, lines } of await sendKept(directory, { info: print, warn: print, error: print }, ms)) {
        left += lines;
        process.stdout.write(`${directory}: ${address.text} ${lines === 0 ? 'has everything' : `does not have ${lines} lines yet`}\n`);
      }
    }
  } finally {
    progress.finish();
  }
  if (left > 0) throw new Zk0Error('TRACKER_UNREACHABLE', `${left} lines were not sent`, { hint: 'See to the tracker, then give the same command.' });
  return undefined;
}
