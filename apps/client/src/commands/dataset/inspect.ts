import { resolve } from 'node:path';
import { readRecordingOptions, withUnitsOption, zk0Home } from '@zk0/cli';
import { inspectDataset, UNIT_CONVENTIONS } from '@zk0/dataset-so100';
import { makeDirectory } from '@zk0/storage';
import { Command } from 'commander';
import { inspectionText } from '../../dataset/inspection-text.ts';
import { pageWidth } from '../../dataset/page.ts';
import { withTaskLimit } from '../../dataset/task-limit.ts';
import type { Run } from '../run-action.ts';
import { runWork, type DatasetWork } from './dataset-work.ts';

interface InspectOptions extends Readonly<Record<string, unknown>> {
  readonly out?: string;
  readonly json?: boolean;
  readonly policy?: string;
}

/** `zk0-client dataset inspect`: what is in a dataset, in words and pictures. */
export function inspectCommand(run: Run): Command {
  const command = new Command('inspect')
    .description('Show what is in a dataset.')
    .argument('<uri>', 'path, hf:owner/name or demo:<task>')
    .option('--out <dir>', 'write pictures there: contact-sheet.png (cameras) and joints.png (state and action)')
    .option('--policy <name|path>', 'name the task texts that this policy would cut at its token limit')
    .option('--json', 'for scripts')
    .option('--verbose', 'error codes and stacks with errors');
  withUnitsOption(command, UNIT_CONVENTIONS).action((uri: string, options: InspectOptions) => {
    runWork(run, (work) => inspect(uri, options, work));
  });
  return command;
}

async function inspect(uri: string, options: InspectOptions, { progress, signal, source }: DatasetWork): Promise<undefined> {
  progress.update({ label: 'reading' });
  const { units } = readRecordingOptions(options, UNIT_CONVENTIONS);
  const seen = await inspectDataset(uri, { ...source(uri), ...(units === undefined ? {} : { units }) });
  const cut = await withTaskLimit(options.policy, signal, (describe) => Promise.resolve(describe?.(seen.tasks.map(({ text }) => text)) ?? []));
  const found = { ...seen, problems: [...seen.problems, ...cut] };
  progress.finish();
  // The words first: they are true of a dataset that is too damaged for pictures, too.
  if (options.json !== true) process.stdout.write(`${inspectionText(found, pageWidth())}\n`);
  let pictures: readonly string[] = [];
  if (options.out !== undefined) {
    const { writePictures } = await import('../../dataset/pictures.ts');
    const folder = resolve(options.out);
    makeDirectory(folder);
    pictures = await writePictures(found, folder, {
      cacheDirectory: zk0Home(),
      signal,
      onEpisode: (done, total) => {
        progress.update({ label: 'taking pictures', done, total });
      },
    });
    progress.finish();
  }
  if (options.json === true) process.stdout.write(`${JSON.stringify({ ...found, pictures }, null, 2)}\n`);
  else if (pictures.length > 0) process.stdout.write(`\n${pictures.join('\n')}\n`);
  else if (process.stdout.isTTY) process.stdout.write(`\npictures of it: zk0-client dataset inspect ${uri} --out DIR\n`);
  return undefined;
}
