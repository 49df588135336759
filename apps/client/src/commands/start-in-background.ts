import { join } from 'node:path';
import { detach, programName, zk0Home } from '@zk0/cli';
import { makeDirectory } from '@zk0/storage';
import { clientIdentity } from '../identity/client-id.ts';
import { enrolmentWith } from '../identity/enrolments.ts';

/** How long `--detach` waits for recordings that are made or downloaded; a client that takes longer gets ready alone. */
const READY_MS = 20_000;

/** `zk0-client start --detach`: starts it again as a process that outlives this one, and says how to go on. */
export async function startInBackground(options: { readonly server: string; readonly id?: string; readonly state?: string }): Promise<undefined> {
  const enrolment = await enrolmentWith(options.server);
  const clientId = await clientIdentity(options.id ?? enrolment?.clientId);
  const state = options.state ?? join(zk0Home(), 'clients', clientId);
  makeDirectory(state);
  const { pid, lines } = await detach(join(state, 'output.txt'), READY_MS);
  const place = options.state === undefined ? (options.id === undefined ? '' : ` --id ${clientId}`) : ` --state ${state}`;
  const text = [
    `client ${clientId} runs in the background (PID ${pid})${lines === null ? ' and is still getting ready' : ''}`,
    ...(lines ?? []),
    `see what it does:  ${programName('zk0-client')} status${place}`,
    `its log:           ${programName('zk0-client')} logs -f${place}`,
    `end it:            ${programName('zk0-client')} stop${place}`,
  ];
  process.stdout.write(`${text.join('\n')}\n`);
  return undefined;
}
