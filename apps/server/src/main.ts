#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { loadEnvFile, quietCommander, runCli } from '@zk0/cli';
import { Command } from 'commander';
import { doctorCommand } from './commands/doctor.ts';
import { evaluateCommand } from './commands/evaluate.ts';
import { logsCommand } from './commands/logs.ts';
import { runCommand, statusCommand, stopCommand } from './commands/remote.ts';
import { simulateCommand } from './commands/simulate.ts';
import { startCommand } from './commands/start.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };

await runCli(async (signal) => {
  loadEnvFile('.env');
  let work: Promise<number | undefined> = Promise.resolve(undefined);
  const run = (action: (signal: AbortSignal) => Promise<number | undefined>): void => {
    work = action(signal);
  };
  const program = new Command('zk0-server')
    .description('Trains one robot policy across many nodes: rounds, aggregation, evaluation, checkpoints.')
    .version(version)
    .showHelpAfterError(false);
  for (const command of [
    startCommand(run),
    runCommand(run),
    simulateCommand(run),
    statusCommand(run),
    stopCommand(run),
    logsCommand(run),
    evaluateCommand(run),
    doctorCommand(run),
  ]) {
    program.addCommand(command);
  }
  await quietCommander(program).parseAsync();
  return work;
});
