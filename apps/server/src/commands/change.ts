import { programName } from '@zk0/cli';
import { clientIdSchema, InvalidArgumentError, type OperatorChange } from '@zk0/core';
import { Command } from 'commander';
import { withAdmin, withServerOptions } from './admin-connection.ts';
import type { Run } from './run-action.ts';

/** `zk0-server pause`: no round begins until the run is resumed. */
export function pauseCommand(run: Run): Command {
  return runChange(run, 'pause', 'Pause a run: the round that is open is finished, and no other begins until it is resumed. Other runs take their turn.', (runId) => [
    `run ${runId} pauses after the round that is open; nothing is lost`,
    `let it go on with: ${programName('zk0-server')} resume ${runId}`,
  ]);
}

/** `zk0-server resume`: a run that was paused goes on. */
export function resumeCommand(run: Run): Command {
  return runChange(run, 'resume', 'Let a run that was paused go on.', (runId) => [`run ${runId} goes on`]);
}

/** `zk0-server exclude`: a client gets no more work in a run. */
export function excludeCommand(run: Run): Command {
  return partChange(run, 'exclude', 'Exclude a client from a run: it gets no more work, and what it sent in the open round does not count. Updates of finished rounds stay.', (clientId, runId) => [
    `client ${clientId} is excluded from run ${runId}`,
    `let it take part again with: ${programName('zk0-server')} readmit ${clientId} --run ${runId}`,
  ]);
}

/** `zk0-server readmit`: an excluded client may take part again. */
export function readmitCommand(run: Run): Command {
  return partChange(run, 'readmit', 'Let an excluded client take part in a run again, from the next round on.', (clientId, runId) => [
    `client ${clientId} may take part in run ${runId} again, from the next round on`,
  ]);
}

function runChange(run: Run, change: 'pause' | 'resume', description: string, done: (runId: string) => readonly string[]): Command {
  const command = new Command(change)
    .description(description)
    .argument('[run]', 'run id; the current one when absent')
    .option('--verbose', 'error codes and stacks with errors');
  return withServerOptions(command).action((runId: string | undefined, options: Record<string, unknown>) => {
    apply(run, options, { change, ...(runId !== undefined && { runId }) }, done);
  });
}

function partChange(run: Run, change: 'exclude' | 'readmit', description: string, done: (clientId: string, runId: string) => readonly string[]): Command {
  const command = new Command(change)
    .description(description)
    .argument('<client>', 'the client’s id, as `zk0-server status` shows it')
    .option('--run <run>', 'run id; the current one when absent')
    .option('--verbose', 'error codes and stacks with errors');
  return withServerOptions(command).action((client: string, options: Record<string, unknown>) => {
    const runId = options['run'] as string | undefined;
    apply(run, options, () => ({ change, clientId: checkedId(client), ...(runId !== undefined && { runId }) }), (of) => done(client, of));
  });
}

function checkedId(client: string): string {
  const parsed = clientIdSchema.safeParse(client);
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError(`${JSON.stringify(client)} cannot be the id of a client`, { hint: `See ${programName('zk0-server')} status for the clients that there are.` });
}

function apply(run: Run, options: Readonly<Record<string, unknown>>, change: OperatorChange | (() => OperatorChange), done: (runId: string) => readonly string[]): void {
  run((signal) =>
    withAdmin(options, async (admin) => {
      const { runId } = await admin.change(typeof change === 'function' ? change() : change, signal);
      process.stdout.write(`${done(runId).join('\n')}\n`);
      return undefined;
    }),
  );
}
