import { resolve } from 'node:path';
import { convertDataset } from '@zk0/dataset-so100';
import { Command } from 'commander';
import { counted, notCopied, pageWidth, paragraph } from '../../dataset/page.ts';
import type { Run } from '../run-action.ts';
import { runWork } from './dataset-work.ts';

interface ConvertOptions {
  readonly regularTimes?: boolean;
}

/** `zk0-client dataset convert`: v2.0 and v2.1 to v3.0. */
export function convertCommand(run: Run): Command {
  const command = new Command('convert')
    .description('Convert a dataset of format v2.0 or v2.1 to v3.0; the original is only read.')
    .argument('<uri>', 'dataset to read')
    .argument('<dir>', 'directory to write; must not exist')
    .option('--regular-times', 'put timestamps on the frame rate, which LeRobot needs for sets recorded with the wall clock')
    .option('--verbose', 'error codes and stacks with errors');
  command.action((uri: string, dir: string, options: ConvertOptions) => {
    runWork(run, async ({ progress, source }) => {
      const { path, episodes, frames, leftOut, warnings } = await convertDataset(uri, resolve(dir), {
        ...source(uri),
        timestamps: options.regularTimes === true ? 'regular' : 'recorded',
        onEpisode: ({ episodes: done, total }) => {
          progress.update({ label: 'converting', done, total });
        },
      });
      progress.finish();
      const lines = [
        `${path}: ${counted(episodes, 'episode')}, ${counted(frames, 'frame')}`,
        ...warnings,
        ...notCopied(leftOut),
      ];
      process.stdout.write(`${lines.flatMap((line) => paragraph(line, pageWidth(), 0)).join('\n')}\n`);
      return undefined;
    });
  });
  return command;
}
