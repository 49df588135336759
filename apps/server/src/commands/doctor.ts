import { diskSpaceCheck, readRecordingOptions, reportHealth, withRecordingOptions, zk0Home } from '@zk0/cli';
import { describeVideoDecoding, tryRecordings, UNIT_CONVENTIONS } from '@zk0/dataset-so100';
import { checkHub } from '@zk0/hub';
import { deviceChecks, recordingChecks } from '@zk0/policy-smolvla';
import { Command } from 'commander';
import '../demo-datasets.ts';
import { collect } from '../config.ts';
import type { Run } from './run-action.ts';

interface DoctorOptions extends Readonly<Record<string, unknown>> {
  readonly dataset: string[];
  readonly policy?: string;
  readonly out: string;
  readonly device?: string;
  readonly json?: boolean;
}

/** `zk0-server doctor`: whether this machine can run a federation. */
export function doctorCommand(run: Run): Command {
  const command = new Command('doctor')
    .description('Check this machine, and with --dataset and --policy whether a run could evaluate on recordings.')
    .option('--out <dir>', 'where outputs would go', 'outputs')
    .option('--device <name>', 'check that this execution provider starts: auto, cpu, cuda, webgpu, …')
    .option('--dataset <uri>', 'check that the dataset opens and its first and last frames decode (repeatable)', collect, [])
    .option('--policy <name|path>', 'with --dataset: check that this policy takes its cameras, joints and task texts')
    .option('--json', 'for scripts')
    .option('--verbose', 'error codes and stacks with errors');
  withRecordingOptions(command, UNIT_CONVENTIONS).action((options: DoctorOptions) => {
    const { out, device, json, dataset: datasets, policy } = options;
    run(() => {
      const how = { ...readRecordingOptions(options, UNIT_CONVENTIONS), renameOthers: datasets.length > 1, cacheDirectory: zk0Home() };
      return reportHealth(
        [
          { name: 'Node', find: () => process.version },
          ...deviceChecks(device),
          { name: 'video', find: () => describeVideoDecoding() },
          { name: 'hub', find: () => checkHub() },
          diskSpaceCheck(zk0Home()),
          diskSpaceCheck(out),
          ...recordingChecks(policy, datasets, { cacheDirectory: zk0Home() }, (uri, judge) => tryRecordings(uri, how, judge)),
        ],
        { json: json === true },
      );
    });
  });
  return command;
}
