import { createProgress, formatBytes } from '@zk0/cli';
import { InvalidArgumentError } from '@zk0/core';
import { Command } from 'commander';
import { pushCheckpoint } from '../push/push-checkpoint.ts';
import type { Run } from './run-action.ts';

interface PushCommandOptions {
  readonly repo: string;
  readonly tag?: string;
  readonly message?: string;
  readonly private?: boolean;
  readonly json?: boolean;
}

/** `zk0-server push`: publishes a checkpoint on the Hugging Face hub. */
export function pushCommand(run: Run): Command {
  return new Command('push')
    .description('Publish a checkpoint on the Hugging Face hub. The token is HF_TOKEN, or that of `hf auth login`. What the repository has is not sent again.')
    .argument('<checkpoint>', 'folder of a checkpoint, e.g. outputs/RUN/models/checkpoint_best')
    .requiredOption('--repo <owner/name>', 'repository; it is created where it is missing')
    .option('--tag <name>', 'tag for the commit (default: fl-run-<run>-round-<n>)')
    .option('--message <text>', 'message of the commit')
    .option('--private', 'a repository that is created is for its owner alone')
    .option('--json', 'for scripts')
    .option('--verbose', 'error codes and stacks with errors')
    .action((checkpoint: string, options: PushCommandOptions) => {
      run((signal) => push(checkpoint, options, signal));
    });
}

async function push(checkpoint: string, { repo, tag, message, private: isPrivate, json }: PushCommandOptions, signal: AbortSignal): Promise<undefined> {
  if (!/^[A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9][\w.-]{0,95}$/.test(repo)) {
    throw new InvalidArgumentError(`--repo ${JSON.stringify(repo)} is not of the form owner/name`, { hint: 'For example --repo anna/so100-policy.' });
  }
  const progress = createProgress(process.stderr);
  try {
    const pushed = await pushCheckpoint(checkpoint, {
      repository: repo,
      ...(tag !== undefined && { tag }),
      ...(message !== undefined && { message }),
      ...(isPrivate === true && { private: true }),
      signal,
      onProgress: ({ phase, done, total }) => {
        progress.update({ label: phase, ...(total > 0 && { done, total }) });
      },
    });
    progress.finish();
    if (json === true) process.stdout.write(`${JSON.stringify(pushed, null, 2)}\n`);
    else {
      const what = pushed.changed.length === 0 ? 'the repository has it all already' : `${pushed.changed.length} files, ${formatBytes(pushed.sentBytes)} of large files sent`;
      process.stdout.write(`${[`${pushed.url}: ${what}`, `commit  ${pushed.commit}`, ...(pushed.tag === null ? [] : [`tag     ${pushed.tag}`])].join('\n')}\n`);
    }
  } finally {
    progress.finish();
  }
  return undefined;
}
