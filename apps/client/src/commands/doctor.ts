import { diskSpaceCheck, readRecordingOptions, reportHealth, withRecordingOptions, zk0Home, type HealthCheck } from '@zk0/cli';
import { describeVideoDecoding, tryRecordings, UNIT_CONVENTIONS } from '@zk0/dataset-so100';
import { checkHub } from '@zk0/hub';
import { deviceChecks, recordingChecks } from '@zk0/policy-smolvla';
import { adminClient } from '@zk0/transport';
import { Command } from 'commander';
import '../demo-datasets.ts';
import { collect, type Run } from './run-action.ts';
import { verify } from './verify.ts';

interface DoctorOptions extends Readonly<Record<string, unknown>> {
  readonly server?: string;
  readonly dataset: string[];
  readonly policy?: string;
  readonly device?: string;
  readonly precision: string;
  readonly verify?: boolean;
  readonly json?: boolean;
}

/** `zk0-client doctor`: whether this machine can take part, found out before the first round. */
export function doctorCommand(run: Run): Command {
  const command = new Command('doctor')
    .description('Check this machine, and with --server and --dataset whether a run would work.')
    .option('--server <url>', 'check that the server answers')
    .option('--dataset <uri>', 'check that the dataset opens and its first and last frames decode (repeatable)', collect, [])
    .option('--policy <name|path>', 'with --dataset: check that this policy takes its cameras, joints and task texts')
    .option('--device <name>', 'check that this execution provider starts: auto, cpu, cuda, webgpu, …')
    .option('--verify', 'with --device: run training, evaluation and acting on it and compare with the processor')
    .option('--precision <type>', 'with --verify: matrix products in auto, float32, float16, bfloat16', 'auto')
    .option('--json', 'for scripts')
    .option('--verbose', 'error codes and stacks with errors');
  withRecordingOptions(command, UNIT_CONVENTIONS).action((options: DoctorOptions) => {
    run(() => {
      const json = options.json === true;
      if (options.verify === true) return verify(options.device ?? 'auto', options.precision, { json });
      const checks: HealthCheck[] = [
        { name: 'Node', find: () => process.version },
        ...deviceChecks(options.device),
        { name: 'video', find: () => describeVideoDecoding() },
        { name: 'hub', find: () => checkHub() },
        diskSpaceCheck(zk0Home()),
      ];
      const { server, dataset: datasets, policy } = options;
      const how = { ...readRecordingOptions(options, UNIT_CONVENTIONS), renameOthers: datasets.length > 1, cacheDirectory: zk0Home() };
      checks.push(...recordingChecks(policy, datasets, { cacheDirectory: zk0Home() }, (uri, judge) => tryRecordings(uri, how, judge)));
      if (server !== undefined) checks.push({ name: `server ${server}`, find: () => checkServer(server) });
      return reportHealth(checks, { json });
    });
  });
  return command;
}

async function checkServer(url: string): Promise<string> {
  const token = process.env['ZK0_ADMIN_TOKEN'];
  const admin = adminClient({ url, ...(token === undefined ? {} : { token }) });
  try {
    const { clients } = await admin.status();
    return `answers; ${(clients as readonly unknown[]).length} clients known`;
  } finally {
    await admin.close();
  }
}
