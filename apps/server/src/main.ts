#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { addCommands, loadEnvFile, quietCommander, runCli } from '@zk0/cli/program';
import { Command } from 'commander';
import type { Run } from './commands/run-action.ts';

type Load = (run: Run) => Promise<Command>;

/** Each command's code is loaded when the command is given, so that errors and `--help` do not wait for all of it. */
const commands: Readonly<Record<string, readonly [summary: string, load: Load]>> = {
  start: ['start an always-on server', async (run) => (await import('./commands/start.ts')).startCommand(run)],
  run: ['submit a run to a running server', async (run) => (await import('./commands/remote.ts')).runCommand(run)],
  follow: ['follow a run to its end', async (run) => (await import('./commands/follow.ts')).followCommand(run)],
  status: ['who is there, and what is running', async (run) => (await import('./commands/status.ts')).statusCommand(run)],
  stop: ['stop a run, or the server itself', async (run) => (await import('./commands/remote.ts')).stopCommand(run)],
  pause: ['pause a run after its open round', async (run) => (await import('./commands/change.ts')).pauseCommand(run)],
  resume: ['let a paused run go on', async (run) => (await import('./commands/change.ts')).resumeCommand(run)],
  exclude: ['exclude a client from a run', async (run) => (await import('./commands/change.ts')).excludeCommand(run)],
  readmit: ['let an excluded client take part again', async (run) => (await import('./commands/change.ts')).readmitCommand(run)],
  logs: ['print the log of a server or a run', async (run) => (await import('./commands/logs.ts')).logsCommand(run)],
  strategies: ['strategies, their options and defaults', async (run) => (await import('./commands/strategies.ts')).strategiesCommand(run)],
  simulate: ['run a whole federation on this machine', async (run) => (await import('./commands/simulate.ts')).simulateCommand(run)],
  demo: ['train on demo recordings and try the policies', async (run) => (await import('./commands/demo.ts')).demoCommand(run)],
  sweep: ['simulations over settings and seeds', async (run) => (await import('./commands/sweep.ts')).sweepCommand(run)],
  compare: ['compare runs by what they left', async (run) => (await import('./commands/compare.ts')).compareCommand(run)],
  evaluate: ['the loss of a policy on recordings', async (run) => (await import('./commands/evaluate.ts')).evaluateCommand(run)],
  rollout: ['how often a policy does its task', async (run) => (await import('./commands/rollout.ts')).rolloutCommand(run)],
  checkpoint: ['a checkpoint in another form', async (run) => (await import('./commands/checkpoint.ts')).policyCheckpointCommand(run)],
  track: ['send kept figures to trackers', async (run) => (await import('./commands/track.ts')).trackCommand(run)],
  push: ['publish a checkpoint on the hub', async (run) => (await import('./commands/push.ts')).pushCommand(run)],
  token: ['tokens with which nodes enrol', async (run) => (await import('./commands/registry.ts')).tokenCommand(run)],
  node: ['the nodes that have enrolled', async (run) => (await import('./commands/registry.ts')).nodeCommand(run)],
  doctor: ['check this machine', async (run) => (await import('./commands/doctor.ts')).doctorCommand(run)],
};
/** Other names of commands. */
const aliases: Readonly<Record<string, string>> = { runs: 'status' };

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };

await runCli(async (signal) => {
  loadEnvFile('.env');
  let work: Promise<number | undefined> = Promise.resolve(undefined);
  const run: Run = (action) => {
    work = action(signal);
  };
  const program = new Command('zk0-server')
    .description('Trains one robot policy across many nodes: rounds, aggregation, evaluation, checkpoints.')
    .version(version)
    .showHelpAfterError(false);
  await addCommands(program, commands, aliases, run);
  await quietCommander(program).parseAsync();
  return work;
});
