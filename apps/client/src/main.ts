#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { loadEnvFile, quietCommander, runCli } from '@zk0/cli';
import { Command } from 'commander';
import type { Run } from './commands/run-action.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };

/** Each command's code is loaded when it is asked for, so that an error or a `--help` does not wait for all of it. */
const commands: Readonly<Record<string, (run: Run) => Promise<Command>>> = {
  start: async (run) => (await import('./commands/start.ts')).startCommand(run, version),
  enroll: async (run) => (await import('./commands/enroll.ts')).enrollCommand(run),
  train: async (run) => (await import('./commands/train.ts')).trainCommand(run),
  dataset: async (run) => (await import('./commands/dataset/index.ts')).datasetCommand(run),
  checkpoint: async (run) => (await import('./commands/checkpoint.ts')).policyCheckpointCommand(run),
  doctor: async (run) => (await import('./commands/doctor.ts')).doctorCommand(run),
};

await runCli(async (signal) => {
  loadEnvFile('.env');
  let work: Promise<number | undefined> = Promise.resolve(undefined);
  const run: Run = (action) => {
    work = action(signal);
  };
  const program = new Command('zk0-client')
    .description('Trains on your own recordings for a federation; only weights and statistics leave this machine.')
    .version(version);
  const wanted = process.argv[2] ?? '';
  const names = Object.hasOwn(commands, wanted) ? [wanted] : Object.keys(commands);
  for (const name of names) program.addCommand(await commands[name]!(run));
  await quietCommander(program).parseAsync();
  return work;
});
