import { createHash } from 'node:crypto';
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BlobReference } from '@zk0/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { temporaryOf } from '../test/scratch-names.ts';
import { DEAD_PID, randomBytes, scratchDirectories } from '../test/scratch.ts';
import { createSafetensors, openBlobStore } from './index.ts';
import { blobStoreContract, readBlob } from './testing.ts';

const scratch = scratchDirectories();

function reference(bytes: Uint8Array): BlobReference {
  return { hash: createHash('sha256').update(bytes).digest('hex'), byteLength: bytes.byteLength };
}

async function* pieces(bytes: Uint8Array, size = 1000, failAt = Infinity): AsyncGenerator<Uint8Array> {
  for (let begin = 0; begin < bytes.byteLength; begin += size) {
    await Promise.resolve();
    if (begin >= failAt) throw new Error('line cut');
    yield bytes.subarray(begin, begin + size);
  }
}

describe.each([
  ['a directory', true],
  ['a directory that is not forced to disk', false],
])('%s', (name, durable) => { blobStoreContract(
  name,
  async () => {
    const directory = await mkdtemp(join(tmpdir(), 'zk0-blob-store-'));
    return {
      open: (limits) => openBlobStore(directory, { ...limits, durable }),
      damage: async (hash) => {
        const path = join(directory, 'sha256', hash);
        const bytes = await readFile(path);
        bytes[bytes.length >> 1]! ^= 1;
        await writeFile(path, bytes);
      },
      remove: () => rm(directory, { recursive: true, force: true }),
    };
  },
  { describe, it },
); });

describe('blobs', () => {
  it('are found under their hash, whole and by ranges', async () => {
    const store = await openBlobStore(await scratch());
    const bytes = randomBytes(10_000);
    const blob = await store.put(bytes);
    expect(blob).toEqual(reference(bytes));
    expect(await store.has(blob.hash)).toBe(true);
    expect(await store.size(blob.hash)).toBe(10_000);
    expect(new Uint8Array(await readFile(store.path(blob.hash)))).toEqual(bytes);
    expect(await readBlob(store, blob.hash)).toEqual(bytes);
    expect(await readBlob(store, blob.hash, { start: 10, end: 20 })).toEqual(bytes.subarray(10, 20));
    expect(await readBlob(store, blob.hash, { start: 20, end: 20 })).toHaveLength(0);
    for (const [start, end] of [[-1, 5], [6, 5], [0, 10_001], [0.5, 2]] as const) {
      await expect(store.openRead(blob.hash, { start, end })).rejects.toMatchObject({ code: 'BLOB_RANGE' });
    }
    await expect(store.openRead('0'.repeat(64))).rejects.toMatchObject({ code: 'BLOB_NOT_FOUND' });
  });

  it('come from files whose writer hashed them, which are not read again', async () => {
    const directory = await scratch();
    const store = await openBlobStore(join(directory, 'store'));
    const path = join(directory, 'model.safetensors');
    const writer = await createSafetensors(path, [{ name: 'w', dtype: 'U8', shape: [100] }]);
    await writer.writeBytes('w', 0, randomBytes(100));
    const written = await writer.commit();
    expect(await store.putFile(path, written)).toEqual(written);
    expect(reference(await readBlob(store, written.hash))).toEqual(written);
    expect(await store.putFile(path)).toEqual(written);
    await writeFile(path, 'another file');
    await expect(store.putFile(path, written)).rejects.toMatchObject({ code: 'HASH_MISMATCH' });
    await expect(store.putFile(join(directory, 'no'), written)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });

  it('are never reached by anything but a hash', async () => {
    const store = await openBlobStore(await scratch());
    for (const hash of ['', '../../etc/passwd', 'A'.repeat(64), '0'.repeat(63), '0'.repeat(64) + '\n', '0'.repeat(62) + '/x']) {
      expect(() => store.path(hash)).toThrow('not a SHA-256');
      await expect(store.size(hash)).rejects.toMatchObject({ code: 'HASH_INVALID' });
      await expect(store.beginUpload({ hash, byteLength: 1 })).rejects.toMatchObject({ code: 'HASH_INVALID' });
      await expect(store.finish({ hash, byteLength: 1 })).rejects.toMatchObject({ code: 'HASH_INVALID' });
    }
  });

  it('are collected unless they are kept or young', async () => {
    const directory = await scratch();
    const store = await openBlobStore(directory, { maxTotalBytes: 300 });
    const [kept, old, young] = [await store.put(randomBytes(100, 1)), await store.put(randomBytes(100, 2)), await store.put(randomBytes(100, 3))];
    const past = new Date(Date.now() - 60_000);
    for (const { hash } of [kept, old]) await utimes(store.path(hash), past, past);
    expect(await store.collect(new Set([kept.hash]), { minimumAgeMs: 10_000 })).toEqual({ removed: 1, bytes: 100 });
    expect(await store.has(young.hash)).toBe(true);
    expect(await store.collect(new Set([kept.hash]))).toEqual({ removed: 1, bytes: 100 });
    expect(await readdir(join(directory, 'sha256'))).toEqual([kept.hash]);
    // The budget is free again.
    await store.put(randomBytes(200, 4));
  });

  it('are young again when somebody offers them anew', async () => {
    const store = await openBlobStore(await scratch());
    const bytes = randomBytes(100);
    const { hash } = await store.put(bytes);
    const past = new Date(Date.now() - 60_000);
    await utimes(store.path(hash), past, past);
    await store.beginUpload(reference(bytes));
    expect(await store.collect(new Set(), { minimumAgeMs: 10_000 })).toEqual({ removed: 0, bytes: 0 });
  });
});

describe('uploads', () => {
  it('arrive whole, whatever the cuts, also across restarts', async () => {
    const directory = await scratch();
    let seed = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ cut: fc.nat({ max: 6000 }), restart: fc.boolean() }), { maxLength: 5 }),
        fc.integer({ min: 1, max: 3000 }),
        async (attempts, size) => {
          const bytes = randomBytes(5000, ++seed);
          const blob = reference(bytes);
          let store = await openBlobStore(directory);
          for (const { cut, restart } of attempts) {
            const offset = await store.beginUpload(blob);
            if (offset === blob.byteLength) break;
            const rest = pieces(bytes.subarray(offset), size, cut);
            await store.append(blob, offset, rest).catch((error: unknown) => {
              expect((error as Error).message).toBe('line cut');
            });
            if (restart) store = await openBlobStore(directory);
          }
          const offset = await store.beginUpload(blob);
          if (offset < blob.byteLength) expect(await store.append(blob, offset, pieces(bytes.subarray(offset), size))).toBe(5000);
          await store.finish(blob);
          await store.finish(blob);
          expect(await readBlob(store, blob.hash)).toEqual(bytes);
          expect(await readdir(join(directory, 'uploads'))).toEqual([]);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('that are damaged on disk while the process was away are found out', async () => {
    const directory = await scratch();
    const bytes = randomBytes(3000);
    const blob = reference(bytes);
    await (await openBlobStore(directory)).append(blob, 0, pieces(bytes.subarray(0, 1000)));
    const [name] = await readdir(join(directory, 'uploads'));
    await writeFile(join(directory, 'uploads', name!), new Uint8Array(1000));
    const store = await openBlobStore(directory);
    expect(await store.beginUpload(blob)).toBe(1000);
    await store.append(blob, 1000, pieces(bytes.subarray(1000)));
    await expect(store.finish(blob)).rejects.toMatchObject({ code: 'HASH_MISMATCH' });
  });

  it('are cut to size when the file on disk is longer than announced', async () => {
    const directory = await scratch();
    const bytes = randomBytes(1000);
    const blob = reference(bytes);
    await (await openBlobStore(directory)).append(blob, 0, pieces(bytes));
    await appendFile(join(directory, 'uploads', `${blob.hash}-1000.part`), 'more');
    const store = await openBlobStore(directory);
    expect(await store.beginUpload(blob)).toBe(1000);
    await store.finish(blob);
  });

  it('that are given up leave nothing, also what an earlier process left; blobs stay', async () => {
    const directory = await scratch();
    const [bytes, other] = [randomBytes(3000, 1), randomBytes(3000, 2)];
    const store = await openBlobStore(directory, { maxTotalBytes: 6000 });
    await store.append(reference(bytes), 0, pieces(bytes.subarray(0, 1000)));
    await store.append(reference(other), 0, pieces(other.subarray(0, 1000)));
    await store.discardUpload(reference(bytes));
    expect(await readdir(join(directory, 'uploads'))).toHaveLength(1);
    const restarted = await openBlobStore(directory, { maxTotalBytes: 6000 });
    await restarted.discardUpload(reference(other));
    await restarted.discardUpload(reference(other));
    expect(await readdir(join(directory, 'uploads'))).toEqual([]);
    const blob = await restarted.put(randomBytes(6000, 3));
    await restarted.discardUpload(blob);
    expect(await restarted.has(blob.hash)).toBe(true);
    await expect(restarted.discardUpload({ hash: '../x', byteLength: 1 })).rejects.toMatchObject({ code: 'HASH_INVALID' });
  });
});

describe('limits', () => {
  it('count what is announced, also after a restart, and free it when it is given up', async () => {
    const directory = await scratch();
    const limits = { maxTotalBytes: 1000, uploadIdleMs: 0 };
    const announced = reference(randomBytes(600, 1));
    const store = await openBlobStore(directory, limits);
    await store.beginUpload(announced);
    await expect(store.put(randomBytes(600, 2))).rejects.toMatchObject({ code: 'STORE_FULL' });
    const restarted = await openBlobStore(directory, limits);
    await expect(restarted.put(randomBytes(600, 2))).rejects.toMatchObject({ code: 'STORE_FULL' });
    await new Promise((resolve) => setTimeout(resolve, 5));
    await restarted.collect(new Set());
    await restarted.put(randomBytes(600, 2));
  });

  it('give the room of an upload that stood still to a new one', async () => {
    const directory = await scratch();
    const store = await openBlobStore(directory, { maxTotalBytes: 1000 });
    const abandoned = reference(randomBytes(600, 1));
    await store.beginUpload(abandoned);
    const part = join(directory, 'uploads', `${abandoned.hash}-600.part`);
    const past = new Date(Date.now() - 3_600_000);
    await utimes(part, past, past);
    const restarted = await openBlobStore(directory, { maxTotalBytes: 1000 });
    await restarted.put(randomBytes(600, 2));
    expect(await readdir(join(directory, 'uploads'))).toEqual([]);
  });
});

describe('damage at rest', () => {
  it('is set aside for a day, counts until then, and is reported with its place', async () => {
    const directory = await scratch();
    const store = await openBlobStore(directory, { maxTotalBytes: 1000 });
    const blob = await store.put(randomBytes(600));
    await writeFile(join(directory, 'sha256', blob.hash), randomBytes(600, 2));
    await expect(store.verifiedFile(blob)).rejects.toMatchObject({ code: 'BLOB_DAMAGED', hint: expect.stringContaining(join(directory, 'damaged')) as string });
    expect(await readdir(join(directory, 'damaged'))).toEqual([blob.hash]);
    await expect(store.put(randomBytes(600, 3))).rejects.toMatchObject({ code: 'STORE_FULL' });
    await store.collect(new Set());
    expect(await readdir(join(directory, 'damaged'))).toEqual([blob.hash]);
    const past = new Date(Date.now() - 25 * 3600_000);
    await utimes(join(directory, 'damaged', blob.hash), past, past);
    expect(await (await openBlobStore(directory, { maxTotalBytes: 1000 })).collect(new Set())).toEqual({ removed: 1, bytes: 600 });
  });

  it('is noticed in files so large that a thread hashes them, while this one stays free', async () => {
    const directory = await scratch();
    const store = await openBlobStore(directory);
    const bytes = new Uint8Array(40 << 20).fill(3);
    const blob = await store.put(bytes);
    // As somebody else's write that left the bytes as they were: the store does not know them any more.
    await utimes(store.path(blob.hash), new Date(), new Date());
    let turns = 0;
    const counter = setInterval(() => turns++, 1);
    expect(await store.verifiedFile(blob)).toBe(store.path(blob.hash));
    clearInterval(counter);
    expect(turns).toBeGreaterThan(0);
    bytes[30 << 20] = 4;
    await writeFile(store.path(blob.hash), bytes);
    await expect(store.verifiedFile(blob)).rejects.toMatchObject({ code: 'BLOB_DAMAGED' });
  });
});

describe('openBlobStore', () => {
  it('removes temporaries of processes that died', async () => {
    const directory = await scratch();
    await mkdir(join(directory, 'sha256'), { recursive: true });
    await writeFile(temporaryOf(join(directory, 'sha256', '0'.repeat(64)), { pid: DEAD_PID }), 'half');
    await openBlobStore(directory);
    expect(await readdir(join(directory, 'sha256'))).toEqual([]);
  });

  it('counts what it held against the budget again', async () => {
    const directory = await scratch();
    await (await openBlobStore(directory)).put(randomBytes(600));
    const store = await openBlobStore(directory, { maxTotalBytes: 1000 });
    await expect(store.put(randomBytes(500, 2))).rejects.toMatchObject({ code: 'STORE_FULL', hint: 'Raise the budget, or remove what is no longer needed.' });
  });

  it('says when a folder cannot be one', async () => {
    const file = join(await scratch(), 'file');
    await writeFile(file, '');
    await expect(openBlobStore(file)).rejects.toMatchObject({ code: 'FILE_UNWRITABLE' });
  });
});
