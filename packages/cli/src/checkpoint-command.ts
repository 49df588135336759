import { Command, Option } from 'commander';
import { zk0Home } from './home.ts';
import { createProgress } from './progress.ts';

/** Forms of a checkpoint: a whole policy, or trained weights and the hash of their base. An adapter is a form of its own. */
export type CheckpointForm = 'full' | 'trained';

/** Writes checkpoint `source` to the new directory `out` in another form. */
export type CheckpointConverter = (
  source: string,
  out: string,
  options: { readonly form: CheckpointForm; readonly base?: string; readonly cacheDirectory: string; readonly signal: AbortSignal },
) => Promise<unknown>;

/** Writes checkpoint `source` to the new directory `out` as an adapter in PEFT's layout; says what it leaves out. */
export type AdapterConverter = (
  source: string,
  out: string,
  options: { readonly rank: number; readonly base?: string; readonly cacheDirectory: string; readonly signal: AbortSignal },
) => Promise<{ readonly residual: number }>;

/** An adapter's rank where none is given: published results for policies like these want as much. */
const ADAPTER_RANK = 128;

interface CheckpointFlags {
  readonly out: string;
  readonly form: CheckpointForm | 'adapter';
  readonly base?: string;
  readonly loraRank?: number;
}

/**
 * `checkpoint` of both programs: a checkpoint of trained weights alone, and a whole one that LeRobot loads, from each other.
 *
 * @param run takes the command's work to `runCli`
 */
export function checkpointCommand(
  run: (action: (signal: AbortSignal) => Promise<number | undefined>) => void,
  convert: CheckpointConverter,
  convertToAdapter: AdapterConverter,
): Command {
  return new Command('checkpoint')
    .description('Join trained weights with their frozen base to what LeRobot loads, take them apart again, or write an adapter.')
    .argument('<source>', 'checkpoint of any form: a directory, or hf:owner/name')
    .requiredOption('--out <dir>', 'new directory to write')
    .addOption(new Option('--form <form>', 'what to write').choices(['full', 'trained', 'adapter']).default('full'))
    .option('--lora-rank <n>', 'rank of an adapter (with --form adapter; default: 128)', Number)
    .option('--base <name|path>', 'policy that it was trained from, where it does not name it')
    .option('--verbose', 'error codes and stacks with errors')
    .action((source: string, { out, form, base, loraRank }: CheckpointFlags) => {
      run(async (signal) => {
        const progress = createProgress(process.stderr);
        progress.update({ label: `writing ${out}` });
        const options = { cacheDirectory: zk0Home(), signal, ...(base === undefined ? {} : { base }) };
        if (form === 'adapter') {
          const rank = loraRank ?? ADAPTER_RANK;
          const { residual } = await convertToAdapter(source, out, { ...options, rank });
          progress.finish(`${out}: an adapter of rank ${rank}; it leaves out ${(100 * residual).toPrecision(2)} % of the change (as a norm)`);
          return undefined;
        }
        await convert(source, out, { ...options, form });
        progress.finish(`${out}: ${form === 'full' ? 'a whole policy, as LeRobot loads it' : 'trained weights and the hash of their base'}`);
        return undefined;
      });
    });
}
