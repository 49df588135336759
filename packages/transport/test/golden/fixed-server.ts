import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { encodeSafetensors } from '@zk0/core';
import { openNodeRegistry, type TransportServer } from '../../src/index.ts';
import { makeTask, type Scope, type TestService } from '../harness.ts';

/** What a client must be started with to repeat the recorded exchange. */
export const GOLDEN = {
  /** When everything happens, in seconds since 1970. */
  created: 1_800_000_000,
  token: 'zk0-golden',
  clientId: 'python-client',
  /** Seed of the Ed25519 key, in hex. */
  privateKey: '01'.repeat(32),
  nonce: 'golden-nonce-',
} as const;

/** A server that answers a client's requests with the same bytes each time: its name, its clock, its one task and its token are fixed. */
export async function startFixedServer(scope: Scope, port = 0): Promise<{ server: TransportServer; service: TestService }> {
  const path = join(await scope.directory(), 'nodes.sqlite');
  const now = (): number => GOLDEN.created * 1000;
  await openNodeRegistry(path, { now }).close();
  const database = new DatabaseSync(path);
  const hash = createHash('sha256').update(GOLDEN.token).digest('hex');
  database.prepare('UPDATE server SET id = ?').run('golden-server');
  database.prepare('INSERT INTO tokens VALUES (?, ?, 1, 0, 0, ?, ?, ?, NULL)').run('golden', hash, '', now(), now() + 1000);
  database.close();
  const registry = openNodeRegistry(path, { now });
  scope.defer(() => registry.close());
  const made = await scope.server({ registry, operatorToken: 'operator', now, port });
  const values = new Float32Array([1, -2, 0.5, 1024]);
  const tensor = { name: 'weight', dtype: 'F32', shape: [4], data: new Uint8Array(values.buffer) } as const;
  const parameters = await made.blobs.put(encodeSafetensors([tensor]));
  made.service.give(GOLDEN.clientId, makeTask({ taskId: 'run-1/1/python-client', parameters }));
  return made;
}
