import { resolve } from 'node:path';
import { createProgress, showPhases, table, zk0Home } from '@zk0/cli';
import { InvalidArgumentError } from '@zk0/core';
import { demoTasks, inspectDataset, makeDemoDataset, validateDataset } from '@zk0/dataset-so100';
import { Command } from 'commander';
import type { Run } from './run-action.ts';

/** `zk0-client dataset …`: look at recordings, check them, make demo ones. */
export function datasetCommand(run: Run): Command {
  const command = new Command('dataset').description('Inspect, validate or make LeRobot datasets.');
  command.addCommand(makeCommand(run));
  command.addCommand(inspectCommand(run));
  command.addCommand(validateCommand(run));
  return command;
}

function makeCommand(run: Run): Command {
  const command = new Command('make')
    .description('Make a LeRobot v3.0 dataset from a simulated SO-100 arm.')
    .argument('<dir>', 'directory to write; must not exist')
    .option('--task <name>', `one of ${demoTasks.map(({ name }) => name).join(', ')}`, demoTasks[0]!.name)
    .option('--episodes <n>', 'episodes to record', Number, 10)
    .option('--seed <n>', 'fixes scene, motion and noise', Number, 0)
    .option('--verbose', 'error codes and stacks with errors');
  command.action((dir: string, options: { readonly task: string; readonly episodes: number; readonly seed: number }) => {
    run(async (signal) => {
      if (!Number.isInteger(options.episodes) || options.episodes < 1) {
        throw new InvalidArgumentError('--episodes must be a whole number above 0');
      }
      const progress = createProgress();
      const directory = resolve(dir);
      await makeDemoDataset(directory, {
        ...options,
        signal,
        onProgress: ({ episodes, total }) => {
          progress.update({ label: `recording ${options.task}`, done: episodes, total });
        },
      });
      progress.finish();
      process.stdout.write(`${options.episodes} episodes of ${options.task} are in ${directory}\n`);
      process.stdout.write(`look at them with: zk0-client dataset inspect ${dir}\n`);
      return undefined;
    });
  });
  return command;
}

function inspectCommand(run: Run): Command {
  const command = new Command('inspect')
    .description('Show what is in a dataset.')
    .argument('<uri>', 'path, hf:owner/name or demo:<task>')
    .option('--json', 'for scripts')
    .option('--verbose', 'error codes and stacks with errors');
  command.action((uri: string, options: { readonly json?: boolean }) => {
    run(async (signal) => {
      const progress = createProgress();
      const found = await inspectDataset(uri, { cacheDirectory: zk0Home(), signal, onProgress: showPhases(progress, uri) }).finally(() => {
        progress.finish();
      });
      process.stdout.write(options.json === true ? `${JSON.stringify(found, null, 2)}\n` : `${describe(found)}\n`);
      return undefined;
    });
  });
  return command;
}

function validateCommand(run: Run): Command {
  const command = new Command('validate')
    .description('Check a dataset: structure, counts, timestamps, videos, statistics. Exit code 1 when something is wrong.')
    .argument('<uri>', 'path, hf:owner/name or demo:<task>')
    .option('--json', 'for scripts')
    .option('--verbose', 'error codes and stacks with errors');
  command.action((uri: string, options: { readonly json?: boolean }) => {
    run(async (signal) => {
      const progress = createProgress();
      const report = await validateDataset(uri, { cacheDirectory: zk0Home(), signal, onProgress: showPhases(progress, uri) }).finally(() => {
        progress.finish();
      });
      if (options.json === true) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
      else {
        for (const { severity, code, message } of report.findings) process.stdout.write(`${severity} ${code}: ${message}\n`);
        process.stdout.write(`${report.ok ? 'usable' : 'not usable'}: ${report.findings.length} findings\n`);
      }
      return report.ok ? undefined : 1;
    });
  });
  return command;
}

function describe(found: Awaited<ReturnType<typeof inspectDataset>>): string {
  return table([{ header: 'what' }, { header: 'found' }], Object.entries(found).map(([key, value]) => [key, JSON.stringify(value)]));
}
