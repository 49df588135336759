#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { loadEnvFile, quietCommander, runCli } from '@zk0/cli';
import { Command } from 'commander';
import { datasetCommand } from './commands/dataset.ts';
import { doctorCommand } from './commands/doctor.ts';
import { startCommand } from './commands/start.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };

await runCli(async (signal) => {
  loadEnvFile('.env');
  let work: Promise<number | undefined> = Promise.resolve(undefined);
  const run = (action: (signal: AbortSignal) => Promise<number | undefined>): void => {
    work = action(signal);
  };
  const program = new Command('zk0-client')
    .description('Trains on your own recordings for a federation; only weights and statistics leave this machine.')
    .version(version);
  for (const command of [startCommand(run, version), datasetCommand(run), doctorCommand(run)]) program.addCommand(command);
  await quietCommander(program).parseAsync();
  return work;
});
