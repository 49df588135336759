#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { addCommands, loadEnvFile, quietCommander, runCli } from '@zk0/cli/program';
import { Command } from 'commander';
import type { Run } from './commands/run-action.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };

type Load = (run: Run) => Promise<Command>;

/** Each command's code is loaded when the command is given, so that errors and `--help` do not wait for all of it. */
const commands: Readonly<Record<string, readonly [summary: string, load: Load]>> = {
  start: ['join a federation and train whenever the server asks', async (run) => (await import('./commands/start.ts')).startCommand(run, version)],
  status: ['what the clients of this machine are doing', async (run) => (await import('./commands/background.ts')).statusCommand(run)],
  stop: ['stop a client of this machine', async (run) => (await import('./commands/background.ts')).stopCommand(run)],
  logs: ['print the log of a client of this machine', async (run) => (await import('./commands/background.ts')).logsCommand(run)],
  enroll: ['enrol this node with a server, once', async (run) => (await import('./commands/enroll.ts')).enrollCommand(run)],
  train: ['fine-tune on this machine, without a server', async (run) => (await import('./commands/train.ts')).trainCommand(run)],
  dataset: ['look at recordings, check, convert and make them', async (run) => (await import('./commands/dataset/index.ts')).datasetCommand(run)],
  checkpoint: ['a checkpoint in another form', async (run) => (await import('./commands/checkpoint.ts')).policyCheckpointCommand(run)],
  cuda: ['use an NVIDIA GPU: find and link its libraries', async (run) => (await import('./commands/cuda.ts')).cudaCommand(run)],
  doctor: ['check this machine, the recordings and the server', async (run) => (await import('./commands/doctor.ts')).doctorCommand(run)],
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
  await addCommands(program, commands, {}, run);
  await quietCommander(program).parseAsync();
  return work;
});
