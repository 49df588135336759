import { formatBytes } from '@zk0/cli';
import { forgetCuda, useCuda, type CudaUse } from '@zk0/policy-smolvla';
import { Command } from 'commander';
import type { Run } from './run-action.ts';

interface UseOptions {
  readonly from?: string;
  readonly json?: boolean;
}

/** `zk0-client cuda use` and `cuda forget`: onnxruntime's CUDA library, taken from where it is already installed. */
export function cudaCommand(run: Run): Command {
  const use = new Command('use')
    .description('Find, check and link onnxruntime’s CUDA library and all that it needs. Nothing is downloaded.')
    .option('--from <dir>', 'a virtual environment, a site-packages folder or a folder of libraries (default: the usual places)')
    .option('--json', 'for scripts')
    .option('--verbose', 'error codes and stacks with errors')
    .action(({ from, json }: UseOptions) => {
      run(() => {
        const used = useCuda(from);
        process.stdout.write(`${json === true ? JSON.stringify(used, null, 2) : describeUse(used)}\n`);
        return Promise.resolve(undefined);
      });
    });
  const forget = new Command('forget')
    .description('Undo `cuda use`. The libraries themselves stay where they are.')
    .option('--verbose', 'error codes and stacks with errors')
    .action(() => {
      run(() => {
        process.stdout.write(forgetCuda() ? 'CUDA is no longer linked\n' : 'CUDA was not linked\n');
        return Promise.resolve(undefined);
      });
    });
  return new Command('cuda').description('Link onnxruntime’s CUDA library from a Python environment or system CUDA, or undo that.').addCommand(use).addCommand(forget);
}

function describeUse({ link, absent, folder }: CudaUse): string {
  const commit = link.commit === null ? 'of an unknown commit' : `of commit ${link.commit}`;
  const files = link.libraries.map(({ name, path, bytes }) => `  ${name.padEnd(40)} ${formatBytes(bytes).padStart(9)}  ${path}`);
  return [
    `linked onnxruntime ${link.version} for CUDA ${link.cudaMajor}, ${commit}`,
    `  ${link.provider.path} (SHA-256 ${link.sha256})`,
    `with ${link.libraries.length} libraries that it needs, in the order in which they are loaded:`,
    ...files,
    ...absent.map(({ name, advice }) => `not found: ${name}. ${advice}`),
    `recorded in ${folder}; undo it with: zk0-client cuda forget`,
    'now verify it: zk0-client doctor --device cuda --verify',
  ].join('\n');
}
