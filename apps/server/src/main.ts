#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { loadEnvFile, quietCommander, runCli } from '@zk0/cli';
import { Command } from 'commander';
import type { Run } from './commands/run-action.ts';

/** Each command's code is loaded when it is asked for, so that an error or a `--help` does not wait for all of it. */
const commands: Readonly<Record<string, (run: Run) => Promise<Command>>> = {
  start: async (run) => (await import('./commands/start.ts')).startCommand(run),
  run: async (run) => (await import('./commands/remote.ts')).runCommand(run),
  simulate: async (run) => (await import('./commands/simulate.ts')).simulateCommand(run),
  status: async (run) => (await import('./commands/remote.ts')).statusCommand(run),
  stop: async (run) => (await import('./commands/remote.ts')).stopCommand(run),
  token: async (run) => (await import('./commands/registry.ts')).tokenCommand(run),
  node: async (run) => (await import('./commands/registry.ts')).nodeCommand(run),
  logs: async (run) => (await import('./commands/logs.ts')).logsCommand(run),
  evaluate: async (run) => (await import('./commands/evaluate.ts')).evaluateCommand(run),
  demo: async (run) => (await import('./commands/demo.ts')).demoCommand(run),
  rollout: async (run) => (await import('./commands/rollout.ts')).rolloutCommand(run),
  checkpoint: async (run) => (await import('./commands/checkpoint.ts')).policyCheckpointCommand(run),
  doctor: async (run) => (await import('./commands/doctor.ts')).doctorCommand(run),
};

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
  const wanted = process.argv[2] ?? '';
  const names = Object.hasOwn(commands, wanted) ? [wanted] : Object.keys(commands);
  for (const name of names) program.addCommand(await commands[name]!(run));
  await quietCommander(program).parseAsync();
  return work;
});
