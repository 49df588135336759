import { createReadStream, existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Zk0Error } from '@zk0/core';
import { Command } from 'commander';
import type { Run } from './run-action.ts';

/** How often a followed file is looked at. */
const POLL_MS = 300;

/** `zk0-server logs`: the server's log, or a run's. */
export function logsCommand(run: Run): Command {
  const command = new Command('logs')
    .description('Print the log of a server, or of one run directory.')
    .argument('[dir]', 'the server’s --out directory, or a run’s outputs', 'outputs')
    .option('-f, --follow', 'go on printing what is added')
    .option('--verbose', 'error codes and stacks with errors');
  command.action((directory: string, options: { readonly follow?: boolean }) => {
    run(async (signal) => {
      const candidates = ['simulation.log', 'server.log', join('server', 'server.log')].map((name) => join(directory, name));
      const file = candidates.find((candidate) => existsSync(candidate));
      if (file === undefined) {
        throw new Zk0Error('LOG_NOT_FOUND', `no log in ${directory}`, { hint: 'Name the directory that the server or the run writes to.' });
      }
      await print(file, options.follow === true, signal);
      return undefined;
    });
  });
  return command;
}

async function print(file: string, follow: boolean, signal: AbortSignal): Promise<void> {
  let position = 0;
  do {
    const { size } = statSync(file);
    if (size < position) position = 0; // rotated
    if (size > position) {
      for await (const chunk of createReadStream(file, { start: position, end: size - 1 })) {
        process.stdout.write(chunk as Buffer);
      }
      position = size;
    }
    if (follow) await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
  } while (follow && !signal.aborted);
}
