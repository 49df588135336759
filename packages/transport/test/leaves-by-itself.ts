/** Run as a process of its own by `exit.test.ts`: it must end when both sides are closed, without being told to. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBlobStore } from '@zk0/storage';
import { adminClient, connect, createTransportServer } from '../src/index.ts';
import { TestService } from './harness.ts';

const directory = mkdtempSync(join(tmpdir(), 'zk0-transport-'));
const blobs = await openBlobStore(directory);
const service = new TestService();
const server = await createTransportServer({ host: '127.0.0.1', port: 0, blobs, service });
const client = connect({ url: server.url, clientId: 'client-1', instance: 'instance-1' });
const admin = adminClient({ url: server.url });
await client.join({ name: '', agent: '', profile: {} });
const blob = await blobs.put(new Uint8Array(1_000_000));
await client.download(blob.hash, blob.byteLength, blobs);
const polling = client.poll().catch(() => 'cancelled');
const following = admin.follow().next();
await admin.status();
await server.close();
await client.close();
await admin.close();
await Promise.allSettled([polling, following]);
rmSync(directory, { recursive: true });
process.stdout.write('closed\n');
