import { statfs } from 'node:fs/promises';
import { mkdirSync } from 'node:fs';
import { formatBytes, table, zk0Home } from '@zk0/cli';
import { errorMessage } from '@zk0/core';
import { availableVideoBackends, openDataset, requireCameras } from '@zk0/dataset-so100';
import { availableDevices } from '@zk0/policy-smolvla';
import { adminClient } from '@zk0/transport';
import { Command } from 'commander';
import type { Run } from './run-action.ts';

interface DoctorOptions {
  readonly server?: string;
  readonly dataset?: string;
}

/** `zk0-client doctor`: whether this machine can take part, found out before the first round. */
export function doctorCommand(run: Run): Command {
  const command = new Command('doctor')
    .description('Check this machine, and with --server and --dataset whether a run would work.')
    .option('--server <url>', 'check that the server answers')
    .option('--dataset <uri>', 'check that the dataset opens and its first and last frames decode')
    .option('--verbose', 'error codes and stacks with errors');
  command.action((options: DoctorOptions) => {
    run(async () => {
      const checks: (readonly [string, () => Promise<string> | string])[] = [
        ['Node', () => process.version],
        ['execution providers', () => availableDevices().join(', ')],
        ['video', async () => (await availableVideoBackends()).map(({ where }) => where).join(', ')],
        [`space in ${zk0Home()}`, freeSpace],
      ];
      const { server, dataset } = options;
      if (dataset !== undefined) checks.push([`dataset ${dataset}`, () => checkDataset(dataset)]);
      if (server !== undefined) checks.push([`server ${server}`, () => checkServer(server)]);
      let failed = false;
      const rows: string[][] = [];
      for (const [name, check] of checks) {
        try {
          rows.push(['ok', name, await check()]);
        } catch (error) {
          failed = true;
          rows.push(['FAIL', name, errorMessage(error)]);
        }
      }
      process.stdout.write(`${table([{ header: '' }, { header: 'check' }, { header: 'found' }], rows)}\n`);
      return failed ? 1 : undefined;
    });
  });
  return command;
}

async function checkDataset(uri: string): Promise<string> {
  const dataset = await openDataset(uri, { cacheDirectory: zk0Home() });
  try {
    const { info } = dataset;
    requireCameras(info);
    const keys = info.cameras.map(({ key }) => key);
    for (const frame of [0, info.frameCount - 1]) await dataset.images(frame, keys);
    return `${info.episodes.length} episodes, ${info.frameCount} frames, cameras ${keys.join(', ')}`;
  } finally {
    await dataset.close();
  }
}

async function checkServer(url: string): Promise<string> {
  const token = process.env['ZK0_TOKEN'];
  const admin = adminClient({ url, ...(token === undefined ? {} : { token }) });
  try {
    const { clients } = await admin.status();
    return `answers; ${(clients as readonly unknown[]).length} clients known`;
  } finally {
    await admin.close();
  }
}

async function freeSpace(): Promise<string> {
  mkdirSync(zk0Home(), { recursive: true });
  const { bavail, bsize } = await statfs(zk0Home());
  return `${formatBytes(bavail * bsize)} free`;
}
