import { setTimeout as sleep } from 'node:timers/promises';
import { createProgress, EXIT_CODE, programName } from '@zk0/cli';
import { Zk0Error } from '@zk0/core';
import { federationEventSchema } from '@zk0/federation';
import type { AdminClient } from '@zk0/transport';
import { Command } from 'commander';
import { RunReporter } from '../reporting/run-reporter.ts';
import type { Run } from './run-action.ts';
import { withAdmin, withServerOptions } from './admin-connection.ts';

/** Between two attempts to reach a server that has gone away. */
const RETRY_MS = 1000;
/** What a server that is away, or on its way back, answers with, or does not. */
const AWAY = new Set(['CONNECTION_REFUSED', 'CONNECTION_FAILED', 'NO_PROGRESS', 'CLOSING', 'BUSY', 'LEDGER_UNUSABLE']);

/** `zk0-server follow`: takes up a run that goes on, or shows one that has ended. */
export function followCommand(run: Run): Command {
  const command = new Command('follow')
    .description('Follow a run of a running server to its end: what has happened so far, then what happens. Ctrl-C leaves the run alone.')
    .argument('[run]', 'run id; the current one when absent')
    .option('--verbose', 'error codes and stacks with errors');
  withServerOptions(command).action((runId: string | undefined, options: Record<string, unknown>) => {
    run((signal) =>
      withAdmin(options, async (admin) => {
        const current = runId ?? (await admin.status(signal))['current'];
        if (typeof current !== 'string') throw new Zk0Error('RUN_UNKNOWN', 'no run is running', { hint: `See ${programName('zk0-server')} status.` });
        return followRun(admin, current, signal);
      }),
    );
  });
  return command;
}

/**
 * Shows a run until it ends, over restarts of the server.
 *
 * @returns the exit code of a Ctrl-C, which leaves the run alone; `undefined` for a run that has finished
 * @throws Zk0Error `RUN_ENDED` for one that failed or was stopped, `RUN_UNKNOWN`
 */
export async function followRun(admin: AdminClient, runId: string, signal: AbortSignal): Promise<number | undefined> {
  const progress = createProgress(process.stderr);
  const reporter = new RunReporter(progress);
  // A server that was restarted tells the run from its start again.
  const told = new Set<string>();
  let isAway = false;
  const isOver = (): boolean => reporter.ending !== undefined || signal.aborted;
  try {
    while (!isOver()) {
      try {
        for await (const item of admin.follow({ runId, history: true, signal })) {
          if (isAway) progress.print('the server is back');
          isAway = false;
          const event = federationEventSchema.safeParse(item);
          if (!event.success) continue;
          const { data } = event;
          const isNews = data.kind !== 'run' || !told.has(JSON.stringify(data));
          if (data.kind === 'run') told.add(JSON.stringify(data));
          if (isNews) reporter.take(data);
          if (isOver()) break;
        }
      } catch (error) {
        if (!(error instanceof Zk0Error) || !AWAY.has(error.code) || told.size === 0) throw error;
      }
      if (isOver()) break;
      if (!isAway) progress.print('the server has gone away; the run goes on when it is back');
      isAway = true;
      progress.update({ label: 'waiting for the server' });
      await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    progress.finish();
  }
  if (reporter.ending === undefined) {
    process.stdout.write(`run ${runId} goes on; follow it again with: ${programName('zk0-server')} follow ${runId}\n`);
    return EXIT_CODE.interrupted;
  }
  process.stdout.write(`${reporter.table()}\n`);
  const { phase, message } = reporter.ending;
  if (phase === 'finished') return undefined;
  throw new Zk0Error('RUN_ENDED', `run ${runId} ${phase === 'failed' ? 'failed' : 'was stopped'}: ${message}`, {
    hint: `Its log says more: ${programName('zk0-server')} logs ${runId}`,
  });
}
