import { createProgress, zk0Home } from '@zk0/cli';
import { convertCheckpoint, type ConvertCheckpointOptions } from '@zk0/policy-smolvla';
import { Command, Option } from 'commander';
import type { Run } from './run-action.ts';

/** `zk0-client checkpoint`: a checkpoint of trained weights alone, and a whole one that LeRobot loads, from each other. */
export function checkpointCommand(run: Run): Command {
  return new Command('checkpoint')
    .description('Join trained weights with their frozen base to what LeRobot loads, or take them apart again.')
    .argument('<source>', 'checkpoint of either form: a directory, or hf:owner/name')
    .requiredOption('--out <dir>', 'new directory to write')
    .addOption(new Option('--form <form>', 'what to write').choices(['full', 'trained']).default('full'))
    .option('--base <name|path>', 'policy with the frozen weights, where the trained ones do not name it')
    .option('--verbose', 'error codes and stacks with errors')
    .action((source: string, { out, form, base }: Pick<ConvertCheckpointOptions, 'form' | 'base'> & { readonly out: string }) => {
      run(async (signal) => {
        const progress = createProgress(process.stderr);
        progress.update({ label: `writing ${out}` });
        await convertCheckpoint(source, out, { form, cacheDirectory: zk0Home(), signal, ...(base === undefined ? {} : { base }) });
        progress.finish(`${out}: ${form === 'full' ? 'a whole policy, as LeRobot loads it' : 'trained weights and the hash of their base'}`);
        return undefined;
      });
    });
}
