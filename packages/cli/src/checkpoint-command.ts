import { Command, Option } from 'commander';
import { zk0Home } from './home.ts';
import { createProgress } from './progress.ts';

/** Forms of a checkpoint: a whole policy, or trained weights and the hash of their base. */
export type CheckpointForm = 'full' | 'trained';

/** Writes checkpoint `source` to the new directory `out` in another form. */
export type CheckpointConverter = (
  source: string,
  out: string,
  options: { readonly form: CheckpointForm; readonly base?: string; readonly cacheDirectory: string; readonly signal: AbortSignal },
) => Promise<unknown>;

/**
 * `checkpoint` of both programs: a checkpoint of trained weights alone, and a whole one that LeRobot loads, from each other.
 *
 * @param run takes the command's work to `runCli`
 */
export function checkpointCommand(
  run: (action: (signal: AbortSignal) => Promise<number | undefined>) => void,
  convert: CheckpointConverter,
): Command {
  return new Command('checkpoint')
    .description('Join trained weights with their frozen base to what LeRobot loads, or take them apart again.')
    .argument('<source>', 'checkpoint of either form: a directory, or hf:owner/name')
    .requiredOption('--out <dir>', 'new directory to write')
    .addOption(new Option('--form <form>', 'what to write').choices(['full', 'trained']).default('full'))
    .option('--base <name|path>', 'policy with the frozen weights, where the trained ones do not name it')
    .option('--verbose', 'error codes and stacks with errors')
    .action((source: string, { out, form, base }: { readonly out: string; readonly form: CheckpointForm; readonly base?: string }) => {
      run(async (signal) => {
        const progress = createProgress(process.stderr);
        progress.update({ label: `writing ${out}` });
        await convert(source, out, { form, cacheDirectory: zk0Home(), signal, ...(base === undefined ? {} : { base }) });
        progress.finish(`${out}: ${form === 'full' ? 'a whole policy, as LeRobot loads it' : 'trained weights and the hash of their base'}`);
        return undefined;
      });
    });
}
