import { createHash } from 'node:crypto';
import { appendFile, mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { BlobReference } from '@zk0/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEAD_PID, randomBytes, scratchDirectories } from '../test/scratch.ts';
import { createSafetensors, openBlobStore, type BlobStore } from './index.ts';

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

const collectIterable = async (store: BlobStore, hash: string, range?: { start: number; end: number }): Promise<Uint8Array> =>
  new Uint8Array(await buffer(await store.openRead(hash, range)));

describe('blobs', () => {
  it('are found under their hash, whole and by ranges', async () => {
    const store = await openBlobStore(await scratch());
    const bytes = randomBytes(10_000);
    const blob = await store.put(bytes);
    expect(blob).toEqual(reference(bytes));
    expect(await store.has(blob.hash)).toBe(true);
    expect(await store.size(blob.hash)).toBe(10_000);
    expect(new Uint8Array(await readFile(store.path(blob.hash)))).toEqual(bytes);
    expect(await collectIterable(store, blob.hash)).toEqual(bytes);
    expect(await collectIterable(store, blob.hash, { start: 10, end: 20 })).toEqual(bytes.subarray(10, 20));
    expect(await collectIterable(store, blob.hash, { start: 20, end: 20 })).toHaveLength(0);
    for (const [start, end] of [[-1, 5], [6, 5], [0, 10_001], [0.5, 2]] as const) {
      await expect(store.openRead(blob.hash, { start, end })).rejects.toMatchObject({ code: 'BLOB_RANGE' });
    }
    await expect(store.openRead('0'.repeat(64))).rejects.toMatchObject({ code: 'BLOB_NOT_FOUND' });
  });

  it('come from files, which stay where they are', async () => {
    const directory = await scratch();
    const store = await openBlobStore(join(directory, 'store'));
    const bytes = randomBytes(5000);
    await writeFile(join(directory, 'file'), bytes);
    const blob = await store.putFile(join(directory, 'file'));
    expect(blob).toEqual(reference(bytes));
    expect(await store.putFile(join(directory, 'file'))).toEqual(blob);
    expect(await collectIterable(store, blob.hash)).toEqual(bytes);
    expect((await stat(join(directory, 'file'))).size).toBe(5000);
    await expect(store.putFile(join(directory, 'no'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });

  it('come from files whose writer hashed them, which are not read again', async () => {
    const directory = await scratch();
    const store = await openBlobStore(join(directory, 'store'));
    const path = join(directory, 'model.safetensors');
    const writer = await createSafetensors(path, [{ name: 'w', dtype: 'U8', shape: [100] }]);
    await writer.writeBytes('w', 0, randomBytes(100));
    const written = await writer.commit();
    expect(await store.putFile(path, written)).toEqual(written);
    expect(reference(await collectIterable(store, written.hash))).toEqual(written);
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
          expect(await collectIterable(store, blob.hash)).toEqual(bytes);
          expect(await readdir(join(directory, 'uploads'))).toEqual([]);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('keep what had arrived when the line was cut', async () => {
    const store = await openBlobStore(await scratch());
    const bytes = randomBytes(5000);
    const blob = reference(bytes);
    await store.beginUpload(blob);
    await expect(store.append(blob, 0, pieces(bytes, 1000, 3000))).rejects.toThrow('line cut');
    expect(await store.beginUpload(blob)).toBe(3000);
    await expect(store.finish(blob)).rejects.toMatchObject({ code: 'UPLOAD_INCOMPLETE' });
    await expect(store.append(blob, 2000, pieces(bytes.subarray(2000)))).rejects.toMatchObject({ code: 'UPLOAD_OFFSET' });
  });

  it('with wrong bytes are thrown away, and can be made again', async () => {
    const directory = await scratch();
    const store = await openBlobStore(directory);
    const bytes = randomBytes(3000, 1);
    const blob = reference(bytes);
    await store.append(blob, 0, pieces(randomBytes(3000, 2)));
    await expect(store.finish(blob)).rejects.toMatchObject({ code: 'HASH_MISMATCH' });
    expect(await store.has(blob.hash)).toBe(false);
    expect(await store.beginUpload(blob)).toBe(0);
    await store.append(blob, 0, pieces(bytes));
    await store.finish(blob);
    expect(await store.has(blob.hash)).toBe(true);
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

  it('never take more bytes than announced', async () => {
    const store = await openBlobStore(await scratch());
    const blob = reference(randomBytes(1000));
    await expect(store.append(blob, 0, pieces(randomBytes(1001), 1))).rejects.toMatchObject({ code: 'UPLOAD_TOO_LONG' });
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

  it('are taken over by a newer append from one whose peer has gone silent', async () => {
    const store = await openBlobStore(await scratch());
    const bytes = randomBytes(3000);
    const blob = reference(bytes);
    let release: () => void = () => undefined;
    const silence = new Promise<void>((resolve) => {
      release = resolve;
    });
    const silent = store.append(blob, 0, (async function* () {
      yield bytes.subarray(0, 1000);
      await silence;
      yield bytes.subarray(1000);
    })());
    await new Promise((resolve) => setTimeout(resolve, 20));
    const offset = await store.beginUpload(blob);
    await store.append(blob, offset, pieces(bytes.subarray(offset)));
    release();
    await expect(silent).rejects.toMatchObject({ code: 'UPLOAD_TAKEN_OVER' });
    await store.finish(blob);
    expect(await collectIterable(store, blob.hash)).toEqual(bytes);
  });

  it('of a blob that is there are complete at once, and refuse another size', async () => {
    const store = await openBlobStore(await scratch());
    const blob = await store.put(randomBytes(1000));
    expect(await store.beginUpload(blob)).toBe(1000);
    await store.finish(blob);
    await expect(store.append(blob, 0, pieces(new Uint8Array(1)))).rejects.toMatchObject({ code: 'UPLOAD_OFFSET' });
    await expect(store.beginUpload({ ...blob, byteLength: 999 })).rejects.toMatchObject({ code: 'HASH_MISMATCH' });
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

  it('that finish twice at once make one blob', async () => {
    const store = await openBlobStore(await scratch());
    const bytes = randomBytes(1000);
    const blob = reference(bytes);
    await store.append(blob, 0, pieces(bytes));
    await Promise.all([store.finish(blob), store.finish(blob), store.finish(blob)]);
    expect(await collectIterable(store, blob.hash)).toEqual(bytes);
  });
});

describe('limits', () => {
  it('refuse a blob that is too large, before a byte is written', async () => {
    const directory = await scratch();
    const store = await openBlobStore(directory, { maxBlobBytes: 100 });
    await expect(store.put(new Uint8Array(101))).rejects.toMatchObject({ code: 'BLOB_TOO_LARGE' });
    for (const byteLength of [101, -1, 1.5, NaN, Infinity]) {
      await expect(store.beginUpload({ hash: '0'.repeat(64), byteLength })).rejects.toMatchObject({ code: 'BLOB_TOO_LARGE' });
    }
    expect(await readdir(join(directory, 'uploads'))).toEqual([]);
  });

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

  it('bound the number of uploads, whatever their size', async () => {
    const store = await openBlobStore(await scratch(), { maxUploads: 2 });
    const [first, second, third] = [1, 2, 3].map((seed) => reference(randomBytes(10, seed)));
    await store.beginUpload(first!);
    await store.beginUpload(second!);
    await store.beginUpload(first!);
    await expect(store.beginUpload(third!)).rejects.toMatchObject({ code: 'STORE_FULL' });
    await store.append(first!, 0, pieces(randomBytes(10, 1)));
    await store.finish(first!);
    await store.beginUpload(third!);
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

describe('openBlobStore', () => {
  it('removes temporaries of processes that died', async () => {
    const directory = await scratch();
    await mkdir(join(directory, 'sha256'), { recursive: true });
    await writeFile(join(directory, 'sha256', `.${'0'.repeat(64)}.${DEAD_PID}-0123456789ab.tmp`), 'half');
    await openBlobStore(directory);
    expect(await readdir(join(directory, 'sha256'))).toEqual([]);
  });

  it('says when a folder cannot be one', async () => {
    const file = join(await scratch(), 'file');
    await writeFile(file, '');
    await expect(openBlobStore(file)).rejects.toMatchObject({ code: 'FILE_UNWRITABLE' });
  });
});
