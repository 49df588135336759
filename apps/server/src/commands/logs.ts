import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readLog } from '@zk0/cli';
import { InvalidArgumentError, Zk0Error } from '@zk0/core';
import { Command } from 'commander';
import { logFileOf } from '../outputs/log-file.ts';
import { withAdmin, withServerOptions } from './admin-connection.ts';
import type { Run } from './run-action.ts';

/** `zk0-server logs`: the server's log, or a run's; of another machine's server through the network. */
export function logsCommand(run: Run): Command {
  const command = new Command('logs')
    .description('Print the log of a server or of one run: from files of this machine, or through --server from any other.')
    .argument('[run]', 'run id, or a folder with a run’s or a server’s outputs; the server itself when absent')
    .option('-f, --follow', 'go on printing what is added')
    .option('-n, --lines <n>', 'lines from the end to begin with; 0: all', Number, 200)
    .option('--verbose', 'error codes and stacks with errors');
  withServerOptions(command).action((what: string | undefined, options: Record<string, unknown>) => {
    run(async (signal) => {
      const lines = Number(options['lines']);
      if (!Number.isInteger(lines) || lines < 0) throw new InvalidArgumentError('--lines must be a whole number from 0 on');
      const wanted = { lines, follow: options['follow'] === true, signal };
      const file = options['server'] === undefined ? localLog(what, String(options['out'])) : undefined;
      if (file !== undefined) {
        for await (const text of readLog(file, wanted)) process.stdout.write(text);
        return undefined;
      }
      if (options['server'] === undefined && what !== undefined && existsSync(what)) {
        throw new Zk0Error('LOG_NOT_FOUND', `no log in ${what}`, { hint: 'Name the directory that the server or the run writes to.' });
      }
      await withAdmin(options, async (admin) => {
        for await (const text of admin.log({ ...wanted, ...(what !== undefined && { runId: what }) })) process.stdout.write(text);
      });
      return undefined;
    });
  });
  return command;
}

/** The log on this machine that is meant: a folder's, a run's below the outputs folder, or the server's. */
function localLog(what: string | undefined, out: string): string | undefined {
  const folders = what === undefined ? [out] : [what, join(out, what)];
  return folders.map(logFileOf).find((file) => file !== undefined);
}

