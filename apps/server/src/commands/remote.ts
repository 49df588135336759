import { join } from 'node:path';
import { loadConfig, programName, runningProcess, stopProcess } from '@zk0/cli';
import { InvalidArgumentError, Zk0Error, type JsonObject } from '@zk0/core';
import { Command } from 'commander';
import { checkedRunConfig, configSchema, runFlags, withConfigOptions, withRunOptions } from '../config.ts';
import { STATE_FOLDER } from '../state-files.ts';
import { withAdmin, withServerOptions } from './admin-connection.ts';
import { followRun } from './follow.ts';
import type { Run } from './run-action.ts';

/** A server takes so long at most to finish what it is writing. */
const STOP_MS = 90_000;

/** `zk0-server run`: submits a run to a running server. */
export function runCommand(run: Run): Command {
  const command = new Command('run')
    .description('Submit a run to a running server.')
    .option('--max-parallel <n>', 'clients that train at the same time; 0: all (default: 0)', Number)
    .option('--stream', 'follow the run to its end; Ctrl-C leaves it alone');
  withServerOptions(withConfigOptions(withRunOptions(command))).action((options: Record<string, unknown>) => {
    run(async (signal) => {
      const config = checkedRunConfig(
        await loadConfig(configSchema, { file: options['config'] as string | undefined, flags: runFlags(options), set: options['set'] as string[] }),
      );
      return withAdmin(options, async (admin) => {
        const { runId } = await admin.submitRun(JSON.parse(JSON.stringify(config)) as JsonObject, signal);
        process.stdout.write(`run ${runId} is submitted\n`);
        if (options['stream'] === true) return followRun(admin, runId, signal);
        process.stdout.write(`follow it with: ${programName('zk0-server')} follow ${runId}\n`);
        return undefined;
      });
    });
  });
  return command;
}

/** `zk0-server stop`: ends a run, or the server itself. */
export function stopCommand(run: Run): Command {
  const command = new Command('stop')
    .description('Stop a run; what was finished stays. With --process: stop the server; its runs go on when it is started again.')
    .argument('[run]', 'run id; the current one when absent')
    .option('--process', 'stop the server that works with --out on this machine')
    .option('--verbose', 'error codes and stacks with errors');
  withServerOptions(command).action((runId: string | undefined, options: Record<string, unknown>) => {
    run((signal) => {
      if (options['process'] === true) return stopServer(runId, String(options['out']), signal);
      return withAdmin(options, async (admin) => {
        const stopped = await admin.stop(runId);
        process.stdout.write(`run ${stopped.runId} is being stopped\n`);
        return undefined;
      });
    });
  });
  return command;
}

async function stopServer(runId: string | undefined, out: string, signal: AbortSignal): Promise<undefined> {
  if (runId !== undefined) throw new InvalidArgumentError('--process stops the server, not a run', { hint: `Leave ${runId} or --process out.` });
  const server = runningProcess(join(out, STATE_FOLDER));
  if (server === undefined) {
    throw new Zk0Error('SERVER_NOT_RUNNING', `no server of this machine works with ${out}`, { hint: 'Name its outputs folder with --out.' });
  }
  if (!(await stopProcess(server, STOP_MS, signal))) {
    throw new Zk0Error('STOP_PENDING', `the server (PID ${server.pid}) has been asked to stop and is not gone yet`, {
      hint: 'Read its log; the same command again ends it at once.',
    });
  }
  process.stdout.write(`the server (PID ${server.pid}) has stopped; its runs go on when it is started again\n`);
  return undefined;
}
