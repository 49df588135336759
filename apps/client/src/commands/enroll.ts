import { randomBytes } from 'node:crypto';
import { programName, readTls, withTlsOptions } from '@zk0/cli';
import { InvalidArgumentError } from '@zk0/core';
import { enroll } from '@zk0/transport';
import { Command } from 'commander';
import { clientIdentity } from '../identity/client-id.ts';
import { keepEnrolment, nodeKey } from '../identity/enrolments.ts';
import type { Run } from './run-action.ts';

interface EnrollCommandOptions extends Readonly<Record<string, unknown>> {
  readonly server: string;
  readonly token?: string;
  readonly id?: string;
  readonly dataset: string;
  readonly insecure?: boolean;
}

/** `zk0-client enroll`: makes this node's key known to a server, once. */
export function enrollCommand(run: Run): Command {
  const command = new Command('enroll')
    .description('Make this node known to a server, once, with a token of its operator. The private key never leaves this machine.')
    .requiredOption('--server <url>', 'the server, as its operator gave it')
    .option('--token <token>', 'of the server’s operator; better in ZK0_TOKEN, where other users of this machine do not see it')
    .option('--id <name>', 'this node’s id (default: made once and kept)')
    .option('--dataset <name>', 'what you are going to train on, for the operator to read', '');
  withTlsOptions(command).action((options: EnrollCommandOptions) => {
    run(async (signal) => {
      const token = options.token ?? process.env['ZK0_TOKEN'];
      if (token === undefined) {
        throw new InvalidArgumentError('no token is given', { hint: 'Ask the server’s operator for one (zk0-server token create), and put it into ZK0_TOKEN or --token.' });
      }
      const clientId = await clientIdentity(options.id);
      const key = await nodeKey();
      const tls = readTls(options);
      const { serverId, state } = await enroll({
        url: options.server,
        token,
        key,
        clientId,
        // Which process speaks does not matter to an enrolment.
        instance: randomBytes(8).toString('hex'),
        dataset: options.dataset,
        signal,
        ...(tls === undefined ? {} : { tls }),
        ...(options.insecure === undefined ? {} : { allowInsecure: options.insecure }),
      });
      await keepEnrolment(options.server, { serverId, clientId, fingerprint: key.fingerprint });
      process.stdout.write(`enrolled as ${clientId}, key ${key.fingerprint}\n`);
      process.stdout.write(
        state === 'pending'
          ? `the operator has to approve it: zk0-server node approve ${clientId}\n`
          : `take part with: ${programName('zk0-client')} start --server ${options.server}${trust(options)} --dataset PATH\n`,
      );
      return undefined;
    });
  });
  return command;
}

/** What the next command has to be told again to reach the server. */
function trust(options: EnrollCommandOptions): string {
  const { tlsCa } = options;
  return `${typeof tlsCa === 'string' ? ` --tls-ca ${tlsCa}` : ''}${options.insecure === true ? ' --insecure' : ''}`;
}
