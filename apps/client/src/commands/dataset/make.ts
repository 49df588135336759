import { resolve } from 'node:path';
import { InvalidArgumentError } from '@zk0/core';
import { demoTasks, makeDemoDataset } from '@zk0/demo-so100';
import { Command } from 'commander';
import type { Run } from '../run-action.ts';
import { runWork } from './dataset-work.ts';

interface MakeOptions {
  readonly task: string;
  readonly episodes: number;
  readonly seed: number;
}

/** `zk0-client dataset make`: demo recordings from a simulated arm. */
export function makeCommand(run: Run): Command {
  const command = new Command('make')
    .description('Make a LeRobot v3.0 dataset from a simulated SO-100 arm.')
    .argument('<dir>', 'directory to write; must not exist')
    .option('--task <name>', `one of ${demoTasks.map(({ name }) => name).join(', ')}`, demoTasks[0]!.name)
    .option('--episodes <n>', 'episodes to record', Number, 10)
    .option('--seed <n>', 'fixes scene, motion and noise', Number, 0)
    .option('--verbose', 'error codes and stacks with errors');
  command.action((dir: string, options: MakeOptions) => {
    runWork(run, async ({ progress, signal }) => {
      if (!Number.isInteger(options.episodes) || options.episodes < 1) {
        throw new InvalidArgumentError('--episodes must be a whole number above 0');
      }
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
