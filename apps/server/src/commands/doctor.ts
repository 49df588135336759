import { statfs } from 'node:fs/promises';
import { formatBytes, table, zk0Home } from '@zk0/cli';
import { errorMessage } from '@zk0/core';
import { availableVideoBackends } from '@zk0/dataset-so100';
import { availableDevices } from '@zk0/policy-smolvla';
import { Command } from 'commander';
import { makeWritable } from '../server-process.ts';
import type { Run } from './run-action.ts';

interface Check {
  readonly name: string;
  readonly check: () => Promise<string> | string;
}

/** `zk0-server doctor`: whether this machine can run a federation. */
export function doctorCommand(run: Run): Command {
  const command = new Command('doctor')
    .description('Check this machine: Node, execution providers, video, disk.')
    .option('--out <dir>', 'where outputs would go', 'outputs')
    .option('--verbose', 'error codes and stacks with errors');
  command.action(({ out }: { readonly out: string }) => {
    run(async () => {
      const checks: Check[] = [
        { name: 'Node', check: () => process.version },
        { name: 'execution providers', check: () => availableDevices().join(', ') },
        { name: 'video', check: async () => (await availableVideoBackends()).map(({ where }) => where).join(', ') },
        { name: `space in ${zk0Home()}`, check: () => freeSpace(zk0Home()) },
        { name: `space in ${out}`, check: () => freeSpace(out) },
      ];
      let failed = false;
      const rows: string[][] = [];
      for (const { name, check } of checks) {
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

async function freeSpace(directory: string): Promise<string> {
  makeWritable(directory);
  const { bavail, bsize } = await statfs(directory);
  return `${formatBytes(bavail * bsize)} free`;
}
