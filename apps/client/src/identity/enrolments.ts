import { join } from 'node:path';
import { zk0Home } from '@zk0/cli';
import { Zk0Error } from '@zk0/core';
import { makeDirectory, readJsonFile, writeFileAtomic } from '@zk0/storage';
import { openNodeKey, type NodeKey } from '@zk0/transport';
import * as z from 'zod';

const enrolmentSchema = z.strictObject({
  /** As the server names itself; signatures are for it alone. */
  serverId: z.string().min(1),
  clientId: z.string().min(1),
  /** Of the key that enrolled. */
  fingerprint: z.string().min(1),
});
/** That this node has enrolled with a server. */
export type Enrolment = z.infer<typeof enrolmentSchema>;

const fileSchema = z.record(z.string(), enrolmentSchema);

/** This node's key, made at the first call. */
export function nodeKey(home = zk0Home()): Promise<NodeKey> {
  makeDirectory(home);
  return openNodeKey(join(home, 'node-key.pem'));
}

/** The enrolment with the server at an address; `undefined` where there is none. */
export async function enrolmentWith(url: string, home = zk0Home()): Promise<Enrolment | undefined> {
  return (await readAll(home))[originOf(url)];
}

/** Remembers an enrolment. */
export async function keepEnrolment(url: string, enrolment: Enrolment, home = zk0Home()): Promise<void> {
  const all = { ...(await readAll(home)), [originOf(url)]: enrolment };
  await writeFileAtomic(join(home, 'enrolments.json'), `${JSON.stringify(all, null, 2)}\n`, { mode: 0o600 });
}

async function readAll(home: string): Promise<z.infer<typeof fileSchema>> {
  try {
    return await readJsonFile(join(home, 'enrolments.json'), fileSchema);
  } catch (error) {
    if (error instanceof Zk0Error && error.code === 'FILE_NOT_FOUND') return {};
    throw error;
  }
}

function originOf(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : url;
}
