import { readdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { CancelledError } from '@zk0/core';
import { openBlobStore, type BlobStore } from '@zk0/storage';
import { readBlob } from '@zk0/storage/testing';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { type ConnectionState, createTransportServer } from '../src/index.ts';
import { choppingProxy, type Cut } from './chopping-proxy.ts';
import { answer, randomBytes, Scope, sha256, TestService } from './harness.ts';

const scope = new Scope();
afterEach(() => scope.dispose());

const SIZE = 4 << 20;
/** What a cut may lose: bytes in sockets, and what the receiver had not written yet. Less than the smallest piece of an upload. */
const UNDER_WAY = 1 << 20;

async function proxy(target: string, cuts: readonly Cut[] = []): Promise<Awaited<ReturnType<typeof choppingProxy>>> {
  const made = await choppingProxy(target, cuts);
  scope.defer(() => made.close());
  return made;
}

describe('a transfer over a bad line', () => {
  it('goes on where it was cut, down', async () => {
    const { server, blobs } = await scope.server();
    const { hash } = await blobs.put(randomBytes(SIZE));
    const line = await proxy(server.url, [{ down: 1_500_000 }, { down: 1_500_000 }]);
    const local = await scope.store();
    await scope.client(line.url).download(hash, SIZE, local);
    expect(await local.has(hash)).toBe(true);
    expect(line.connections).toBe(3);
    expect(line.bytesDown).toBeLessThan(SIZE + 2 * UNDER_WAY);
  });

  it('goes on where it was cut, up', async () => {
    const { server, blobs } = await scope.server();
    const local = await scope.store();
    const { hash } = await local.put(randomBytes(SIZE));
    const line = await proxy(server.url, [{ up: 1_500_000 }, { up: 1_500_000 }]);
    // A pause as in earnest: the server has read what had arrived before it is asked where it stands.
    const client = scope.client(line.url, { retry: { sleep: () => new Promise((resolve) => setTimeout(resolve, 150)) } });
    await client.upload(hash, local);
    expect(await blobs.has(hash)).toBe(true);
    expect(line.bytesUp).toBeLessThan(SIZE + 2 * UNDER_WAY);
  });

  it('arrives whole for any cuts, in both directions', async () => {
    const { server, blobs } = await scope.server();
    const local = await scope.store();
    let seed = 0;
    const cut = fc.oneof(
      fc.nat({ max: 400_000 }).map((up): Cut => ({ up })),
      fc.nat({ max: 400_000 }).map((down): Cut => ({ down })),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(cut, { maxLength: 8 }), fc.integer({ min: 1, max: 300_000 }), async (cuts, size) => {
        const line = await choppingProxy(server.url, cuts);
        const client = scope.client(line.url, { retry: { firstContactMs: Infinity } });
        try {
          const bytes = randomBytes(size, ++seed);
          const { hash } = await local.put(bytes);
          await client.upload(hash, local);
          const back = await scope.store();
          await client.download(hash, size, back);
          expect(await blobs.size(hash)).toBe(size);
          expect(sha256(await readBlob(back, hash))).toBe(hash);
        } finally {
          await client.close();
          await line.close();
        }
      }),
      { numRuns: 25 },
    );
  });

  it('survives a restart of the server in the middle', async () => {
    const directory = await scope.directory();
    const service = new TestService();
    const start = async (port: number): Promise<Awaited<ReturnType<typeof createTransportServer>>> =>
      createTransportServer({ host: '127.0.0.1', port, service, blobs: await openBlobStore(directory) });
    const first = await start(0);
    const local = await scope.store();
    const { hash } = await local.put(randomBytes(SIZE));
    const line = await proxy(first.url, [{ up: 1_500_000 }]);
    let restarted: Promise<void> | undefined;
    const client = scope.client(line.url, {
      retry: { sleep: () => new Promise((resolve) => setTimeout(resolve, 5)), firstContactMs: Infinity },
      onConnectionState: ({ state }) => {
        if (state !== 'retrying') return;
        restarted ??= (async () => {
          await first.close();
          const second = await start(first.port);
          scope.defer(() => second.close());
        })();
      },
    });
    await client.upload(hash, local);
    expect(restarted).toBeDefined();
    await restarted;
    expect(await readdir(join(directory, 'sha256'))).toEqual([hash]);
    expect(client.bytesUp).toBeLessThan(2 * SIZE);
  });

  it('fails on silence, not on slowness, and goes on when the line wakes', async () => {
    const { server, blobs } = await scope.server();
    const { hash } = await blobs.put(randomBytes(SIZE));
    const line = await proxy(server.url, [{}]);
    line.stall = true;
    const states: ConnectionState[] = [];
    const client = scope.client(line.url, {
      noProgressMs: 150,
      retry: { firstContactMs: 60_000 },
      onConnectionState: (state) => {
        states.push(state);
        line.stall = false;
      },
    });
    const local = await scope.store();
    await client.download(hash, SIZE, local);
    expect(states[0]).toMatchObject({ state: 'retrying', error: { code: 'NO_PROGRESS' } });
    expect(states.at(-1)).toEqual({ state: 'connected' });
  });

  it('asks again for an answer that takes long; the work is done once', async () => {
    const service = new TestService();
    const result = service.result.bind(service);
    service.result = async (client, message) => {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      return result(client, message);
    };
    const { server } = await scope.server({ service, limits: { answerWithinMs: 100 } });
    const client = scope.client(server.url, { noProgressMs: 300, retry: { sleep: () => Promise.resolve() } });
    const outcome = { ok: false, code: 'X', message: 'y'.repeat(10_000) } as const;
    expect(await client.result({ taskId: 't', runId: 'r', round: 1, attempt: 1, outcome })).toEqual({ status: 'accepted' });
    expect(service.results).toHaveLength(1);
  });

  it('asks again while the server checks what has arrived, and while it hashes what an earlier process left', async () => {
    const blobs = await scope.store();
    const slow = {
      ...bind(blobs),
      beginUpload: async (...upload: Parameters<BlobStore['beginUpload']>) => { await pause(250); return blobs.beginUpload(...upload); },
      finish: async (...upload: Parameters<BlobStore['finish']>) => { await pause(250); await blobs.finish(...upload); },
    };
    const { server } = await scope.server({ blobs: slow, limits: { answerWithinMs: 50 } });
    const local = await scope.store();
    const { hash } = await local.put(randomBytes(1000));
    const client = scope.client(server.url, { noProgressMs: 150, retry: { sleep: () => Promise.resolve() } });
    await client.upload(hash, local);
    expect(await blobs.has(hash)).toBe(true);
    expect(client.bytesUp).toBe(1000);
  });

  it('notices that nobody takes what it sends', async () => {
    const local = await scope.store();
    const { hash } = await local.put(randomBytes(16 << 20));
    const deaf = createServer((request, reply) => {
      if (request.method === 'POST') {
        answer(reply, 200, 'upload', { state: 'receiving', offset: 0 });
      }
      // The body of the PATCH is never read.
    });
    await new Promise<void>((resolve) => deaf.listen(0, '127.0.0.1', resolve));
    scope.defer(() => new Promise((resolve) => { deaf.closeAllConnections(); deaf.close(resolve); }));
    const abort = new AbortController();
    const codes: string[] = [];
    const client = scope.client(`http://127.0.0.1:${(deaf.address() as AddressInfo).port}`, {
      noProgressMs: 150,
      onConnectionState: (state) => {
        if (state.state !== 'retrying') return;
        codes.push(state.error.code);
        abort.abort();
      },
    });
    await expect(client.upload(hash, local, { signal: abort.signal })).rejects.toThrow(CancelledError);
    expect(codes).toEqual(['NO_PROGRESS']);
  });

  it('does not mind a slow reader: memory stays flat and nothing is lost', async () => {
    const { server, blobs } = await scope.server();
    const { hash } = await blobs.put(randomBytes(SIZE));
    const local = await scope.store();
    const slow = {
      ...bind(local),
      append: (blob: Parameters<typeof local.append>[0], offset: number, chunks: AsyncIterable<Uint8Array>) =>
        local.append(blob, offset, (async function* () {
          for await (const chunk of chunks) {
            await new Promise((resolve) => setTimeout(resolve, 1));
            yield chunk;
          }
        })()),
    };
    await scope.client(server.url).download(hash, SIZE, slow);
    expect(await local.has(hash)).toBe(true);
  });

  it('stops when its signal aborts, and goes on from there next time', async () => {
    const { server, blobs } = await scope.server();
    const { hash } = await blobs.put(randomBytes(SIZE));
    const local = await scope.store();
    const client = scope.client(server.url);
    const abort = new AbortController();
    await expect(
      client.download(hash, SIZE, local, { signal: abort.signal, onProgress: (bytes) => { if (bytes > 2_000_000) abort.abort(); } }),
    ).rejects.toThrow(CancelledError);
    const before = client.bytesDown;
    let first = -1;
    await client.download(hash, SIZE, local, { onProgress: (bytes) => { if (first < 0) first = bytes; } });
    expect(first).toBeGreaterThan(1_000_000);
    expect(client.bytesDown - before).toBe(SIZE - first);
  });
});

describe('bytes that are not what they are called', () => {
  it('are refused when they come down', async () => {
    const { server, blobs } = await scope.server();
    const { hash } = await blobs.put(randomBytes(10_000, 1));
    await writeFile(blobs.path(hash), randomBytes(10_000, 2));
    const local = await scope.store();
    await expect(scope.client(server.url).download(hash, 10_000, local)).rejects.toMatchObject({ code: 'HASH_MISMATCH' });
    expect(await local.has(hash)).toBe(false);
  });

  it('are refused when they come up', async () => {
    const { server, blobs } = await scope.server();
    const local = await scope.store();
    const { hash } = await local.put(randomBytes(10_000, 1));
    await writeFile(local.path(hash), randomBytes(10_000, 2));
    await expect(scope.client(server.url).upload(hash, local)).rejects.toMatchObject({ code: 'HASH_MISMATCH' });
    expect(await blobs.has(hash)).toBe(false);
  });

  it('are repaired when they were damaged on the way', async () => {
    const directory = await scope.directory();
    const { server, blobs } = await scope.server();
    const bytes = randomBytes(10_000);
    const { hash } = await blobs.put(bytes);
    const before = await openBlobStore(directory);
    await before.append({ hash, byteLength: 10_000 }, 0, (async function* () {
      await Promise.resolve();
      yield randomBytes(5000, 9);
    })());
    const local = await openBlobStore(directory);
    await scope.client(server.url).download(hash, 10_000, local);
    expect(sha256(await readBlob(local, hash))).toBe(hash);
  });

  it('of another size than the task said are refused', async () => {
    const { server, blobs } = await scope.server();
    const { hash } = await blobs.put(randomBytes(10_000));
    await expect(scope.client(server.url).download(hash, 9_999, await scope.store())).rejects.toMatchObject({ code: 'HASH_MISMATCH' });
  });

  it('that nobody has are refused at once', async () => {
    const { server } = await scope.server();
    const client = scope.client(server.url);
    await expect(client.download('0'.repeat(64), 5, await scope.store())).rejects.toMatchObject({ code: 'BLOB_NOT_FOUND' });
    await expect(client.upload('0'.repeat(64), await scope.store())).rejects.toMatchObject({ code: 'BLOB_NOT_FOUND' });
  });
});

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function bind<T extends object>(target: T): T {
  return new Proxy(target, {
    ownKeys: () => Reflect.ownKeys(Object.getPrototypeOf(target) as object).filter((key) => key !== 'constructor'),
    getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }),
    get: (object, key) => {
      const value: unknown = Reflect.get(object, key);
      return typeof value === 'function' ? (value.bind(object) as unknown) : value;
    },
  });
}
