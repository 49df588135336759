import { diskSpaceCheck, reportHealth, zk0Home } from '@zk0/cli';
import { describeVideoDecoding } from '@zk0/dataset-so100';
import { checkHub } from '@zk0/hub';
import { deviceChecks } from '@zk0/policy-smolvla';
import { Command } from 'commander';
import type { Run } from './run-action.ts';

interface DoctorOptions {
  readonly out: string;
  readonly device?: string;
  readonly json?: boolean;
}

/** `zk0-server doctor`: whether this machine can run a federation. */
export function doctorCommand(run: Run): Command {
  const command = new Command('doctor')
    .description('Check this machine: Node, execution providers, video, disk.')
    .option('--out <dir>', 'where outputs would go', 'outputs')
    .option('--device <name>', 'check that this execution provider starts: auto, cpu, cuda, webgpu, …')
    .option('--json', 'for scripts')
    .option('--verbose', 'error codes and stacks with errors');
  command.action(({ out, device, json }: DoctorOptions) => {
    run(() =>
      reportHealth(
        [
          { name: 'Node', find: () => process.version },
          ...deviceChecks(device),
          { name: 'video', find: () => describeVideoDecoding() },
          { name: 'hub', find: () => checkHub() },
          diskSpaceCheck(zk0Home()),
          diskSpaceCheck(out),
        ],
        { json: json === true },
      ),
    );
  });
  return command;
}
