/**
 * @module
 * What every blob store promises, as tests. For vitest, node:test or anything else with `describe` and `it`:
 *
 * ```ts
 * import { describe, it } from 'vitest';
 * import { blobStoreContract } from '@zk0/storage/testing';
 * blobStoreContract('my store', () => myHarness(), { describe, it });
 * ```
 */
import { deepStrictEqual, match, ok, rejects, strictEqual } from 'node:assert/strict';
import { createHash, hash as hashOf } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { BlobReference } from '@zk0/core';
import type { BlobStore, ByteRange } from './blob-store.ts';
import type { BlobStoreLimits } from './budget.ts';

/** The test runner's functions. */
export interface TestApi {
  readonly describe: (name: string, body: () => void) => unknown;
  readonly it: (name: string, body: () => Promise<void>) => unknown;
}

/** Where one test's store keeps its data. */
export interface BlobStoreHarness {
  /** Opens a store over the data: at first there are none, and later those of the store before, as after a restart. */
  open(limits?: BlobStoreLimits): Promise<BlobStore>;
  /** Changes one bit of a stored blob behind the store's back. */
  damage(hash: string): Promise<void>;
  remove(): Promise<void>;
}

/** Registers the tests of the contract. @param create Makes a harness without data; called once per test. */
export function blobStoreContract(name: string, create: () => Promise<BlobStoreHarness>, { describe, it }: TestApi): void {
  const test = (title: string, body: (harness: BlobStoreHarness) => Promise<void>): void => {
    it(title, async () => {
      const harness = await create();
      try {
        await body(harness);
      } finally {
        await harness.remove();
      }
    });
  };

  describe(`the contract of blob stores: ${name}`, () => {
    test('finds blobs under their hash, whole and by ranges, also after a restart', async (harness) => {
      const bytes = pattern(10_000);
      const blob = await (await harness.open()).put(bytes);
      deepStrictEqual(blob, reference(bytes));
      const store = await harness.open();
      strictEqual(await store.has(blob.hash), true);
      strictEqual(await store.size(blob.hash), 10_000);
      deepStrictEqual(await readBlob(store, blob.hash), bytes);
      deepStrictEqual(await readBlob(store, blob.hash, { start: 10, end: 20 }), bytes.subarray(10, 20));
      strictEqual((await readBlob(store, blob.hash, { start: 20, end: 20 })).length, 0);
      for (const [start, end] of [[-1, 5], [6, 5], [0, 10_001], [0.5, 2]] as const) {
        await rejects(store.openRead(blob.hash, { start, end }), { code: 'BLOB_RANGE' });
      }
    });

    test('says that a blob is not there', async (harness) => {
      const store = await harness.open();
      const blob = reference(pattern(5));
      strictEqual(await store.has(blob.hash), false);
      strictEqual(await store.size(blob.hash), null);
      await rejects(store.openRead(blob.hash), { code: 'BLOB_NOT_FOUND' });
      await rejects(store.verifiedFile(blob), { code: 'BLOB_NOT_FOUND' });
    });

    test('is never reached by anything but a hash', async (harness) => {
      const store = await harness.open();
      for (const hash of ['', '../../etc/passwd', 'A'.repeat(64), '0'.repeat(63), `${'0'.repeat(64)}\n`, `${'0'.repeat(62)}/x`]) {
        const blob = { hash, byteLength: 1 };
        for (const call of [
          () => store.size(hash),
          () => store.openRead(hash),
          () => store.verifiedFile(blob),
          () => store.beginUpload(blob),
          () => store.append(blob, 0, pieces(pattern(1))),
          () => store.finish(blob),
        ]) {
          await rejects(call, { code: 'HASH_INVALID' });
        }
      }
    });

    test('takes in files, which stay where they are', async (harness) => {
      const folder = await mkdtemp(join(tmpdir(), 'zk0-blobs-'));
      try {
        const store = await harness.open();
        const bytes = pattern(5000);
        const path = join(folder, 'file');
        await writeFile(path, bytes);
        const blob = await store.putFile(path);
        deepStrictEqual(blob, reference(bytes));
        deepStrictEqual(await store.putFile(path, blob), blob);
        deepStrictEqual(await readBlob(store, blob.hash), bytes);
        deepStrictEqual(new Uint8Array(await readFile(path)), bytes);
        await rejects(store.putFile(path, { ...blob, byteLength: 4999 }), { code: 'HASH_MISMATCH' });
        await rejects(store.putFile(join(folder, 'no')), { code: 'FILE_NOT_FOUND' });
      } finally {
        await rm(folder, { recursive: true });
      }
    });

    test('hands out files whose bytes it has checked', async (harness) => {
      const store = await harness.open();
      const bytes = pattern(5000);
      const blob = await store.put(bytes);
      deepStrictEqual(new Uint8Array(await readFile(await store.verifiedFile(blob))), bytes);
      await rejects(store.verifiedFile({ ...blob, byteLength: 4999 }), { code: 'HASH_MISMATCH' });
    });

    test('says where a blob lies as a local file, also after a restart', async (harness) => {
      const bytes = pattern(5000);
      const blob = await (await harness.open()).put(bytes);
      const store = await harness.open();
      deepStrictEqual(new Uint8Array(await readFile(await store.localFile(blob))), bytes);
      await rejects(store.localFile({ ...blob, hash: '../x' }), { code: 'HASH_INVALID' });
    });

    test('notices damage at rest, does not have the blob any more, and takes it in again', async (harness) => {
      const store = await harness.open();
      const bytes = pattern(5000);
      const blob = await store.put(bytes);
      await harness.damage(blob.hash);
      await rejects(store.verifiedFile(blob), (error: Error & { code?: string }) => {
        strictEqual(error.code, 'BLOB_DAMAGED');
        match(error.message, new RegExp(blob.hash));
        return true;
      });
      strictEqual(await store.has(blob.hash), false);
      await rejects(store.verifiedFile(blob), { code: 'BLOB_NOT_FOUND' });
      await upload(store, bytes, 'anna');
      deepStrictEqual(new Uint8Array(await readFile(await store.verifiedFile(blob))), bytes);
    });

    test('goes on with an upload where it was cut, also after a restart', async (harness) => {
      const bytes = pattern(5000);
      const blob = reference(bytes);
      let store = await harness.open();
      strictEqual(await store.beginUpload(blob), 0);
      for (const cut of [1000, 3000]) {
        const offset = await store.beginUpload(blob);
        await rejects(store.append(blob, offset, pieces(bytes.subarray(offset), 500, cut - offset)), /the line was cut/);
        strictEqual(await store.beginUpload(blob), cut);
        store = await harness.open();
        strictEqual(await store.beginUpload(blob), cut);
      }
      await rejects(store.finish(blob), { code: 'UPLOAD_INCOMPLETE' });
      await rejects(store.append(blob, 2000, pieces(bytes.subarray(2000))), { code: 'UPLOAD_OFFSET' });
      strictEqual(await store.append(blob, 3000, pieces(bytes.subarray(3000))), 5000);
      strictEqual(await store.has(blob.hash), false);
      await store.finish(blob);
      await store.finish(blob);
      deepStrictEqual(await readBlob(store, blob.hash), bytes);
      strictEqual(await store.beginUpload(blob), 5000);
      await rejects(store.append(blob, 0, pieces(bytes)), { code: 'UPLOAD_OFFSET' });
      await rejects(store.beginUpload({ ...blob, byteLength: 999 }), { code: 'HASH_MISMATCH' });
    });

    test('takes in an upload of no bytes', async (harness) => {
      const store = await harness.open();
      await upload(store, new Uint8Array(0), undefined);
      strictEqual(await store.size(reference(new Uint8Array(0)).hash), 0);
    });

    test('throws wrong bytes away, and takes the right ones after them', async (harness) => {
      const store = await harness.open();
      const bytes = pattern(3000);
      const blob = reference(bytes);
      await store.append(blob, 0, pieces(pattern(3000, 2)));
      await rejects(store.finish(blob), { code: 'HASH_MISMATCH' });
      strictEqual(await store.has(blob.hash), false);
      strictEqual(await store.beginUpload(blob), 0);
      await upload(store, bytes, undefined);
    });

    test('reads no chunk after it has asked for the next one, however large', async (harness) => {
      const store = await harness.open();
      const bytes = pattern(3_000_000);
      const blob = reference(bytes);
      for (const size of [700_001, 1_300_000]) {
        const offset = await store.beginUpload(blob);
        await store.append(blob, offset, pieces(bytes.subarray(offset, offset + 1_500_000), size));
      }
      await store.finish(blob);
      deepStrictEqual(await readBlob(store, blob.hash), bytes);
    });

    test('never takes more bytes than were announced', async (harness) => {
      const store = await harness.open();
      const blob = reference(pattern(1000));
      await rejects(store.append(blob, 0, pieces(pattern(1001), 1)), { code: 'UPLOAD_TOO_LONG' });
    });

    test('lets a newer append take over from one whose peer has gone silent', async (harness) => {
      const store = await harness.open();
      const bytes = pattern(3000);
      const blob = reference(bytes);
      const silence = untilReleased();
      const silent = store.append(blob, 0, (async function* () {
        yield bytes.subarray(0, 1000);
        await silence.promise;
        yield bytes.subarray(1000);
      })());
      const outcome = rejects(silent, { code: 'UPLOAD_TAKEN_OVER' });
      await wait(20);
      const offset = await store.beginUpload(blob);
      await store.append(blob, offset, pieces(bytes.subarray(offset)));
      silence.release();
      await outcome;
      await store.finish(blob);
      deepStrictEqual(await readBlob(store, blob.hash), bytes);
    });

    test('makes one blob of the same bytes that come from everywhere at once, and counts it once', async (harness) => {
      const store = await harness.open({ maxTotalBytes: 4000 });
      const bytes = pattern(1000);
      const blob = reference(bytes);
      await store.append(blob, 0, pieces(bytes), { owner: 'anna' });
      await store.append(blob, 0, pieces(bytes), { owner: 'ben' });
      await Promise.all([
        store.finish(blob, { owner: 'anna' }),
        store.finish(blob, { owner: 'anna' }),
        store.finish(blob, { owner: 'ben' }),
        store.put(bytes),
        store.put(bytes),
      ]);
      deepStrictEqual(await readBlob(store, blob.hash), bytes);
      await store.put(pattern(3000, 2));
      await rejects(store.put(pattern(1, 3)), { code: 'STORE_FULL' });
    });

    test('refuses a blob that is too large before a byte of it is stored', async (harness) => {
      const store = await harness.open({ maxBlobBytes: 100 });
      await rejects(store.put(new Uint8Array(101)), { code: 'BLOB_TOO_LARGE' });
      for (const byteLength of [101, -1, 1.5, NaN, Infinity]) {
        await rejects(store.beginUpload({ hash: '0'.repeat(64), byteLength }), { code: 'BLOB_TOO_LARGE' });
      }
    });

    test('never promises the same room twice', async (harness) => {
      const store = await harness.open({ maxTotalBytes: 1000 });
      const attempts = [1, 2, 3, 4].flatMap((seed) => [
        store.put(pattern(400, seed)),
        store.beginUpload(reference(pattern(400, 10 + seed)), { owner: `client-${seed}` }),
      ]);
      const outcomes = await Promise.allSettled(attempts);
      strictEqual(outcomes.filter(({ status }) => status === 'fulfilled').length, 2);
      for (const outcome of outcomes) if (outcome.status === 'rejected') strictEqual((outcome.reason as { code: string }).code, 'STORE_FULL');
    });

    test('keeps room for the process itself that uploads cannot take', async (harness) => {
      const store = await harness.open({ maxTotalBytes: 1000, reservedBytes: 400 });
      await store.beginUpload(reference(pattern(500, 1)), { owner: 'anna' });
      await rejects(store.beginUpload(reference(pattern(200, 2)), { owner: 'ben' }), { code: 'STORE_FULL' });
      await store.put(pattern(400, 3));
    });

    test('lets no sender use up what others need, also after a restart', async (harness) => {
      const limits = { maxUploads: 6, maxOwnerUploads: 3, maxOwnerBytes: 250 };
      let store = await harness.open(limits);
      for (let seed = 0; seed < 50; seed++) await store.beginUpload(reference(pattern(10, seed)), { owner: 'greedy' });
      store = await harness.open(limits);
      for (let seed = 0; seed < 50; seed++) await store.beginUpload(reference(pattern(10, seed)), { owner: 'greedy' });
      await rejects(store.beginUpload(reference(pattern(251)), { owner: 'greedy' }), { code: 'UPLOAD_QUOTA' });
      await upload(store, pattern(250), 'anna');
      await upload(store, pattern(240), 'ben');
    });

    test('does not give up an upload for another while bytes arrive for it', async (harness) => {
      const store = await harness.open({ maxOwnerUploads: 1 });
      const bytes = pattern(1000);
      const silence = untilReleased();
      const slow = store.append(reference(bytes), 0, (async function* () {
        yield bytes.subarray(0, 500);
        await silence.promise;
        yield bytes.subarray(500);
      })(), { owner: 'anna' });
      await wait(20);
      await rejects(store.beginUpload(reference(pattern(10)), { owner: 'anna' }), { code: 'UPLOAD_QUOTA' });
      silence.release();
      strictEqual(await slow, 1000);
      await store.finish(reference(bytes), { owner: 'anna' });
      await store.beginUpload(reference(pattern(10)), { owner: 'anna' });
    });

    test('lets nobody spoil what another uploads under the same hash', async (harness) => {
      const store = await harness.open();
      const bytes = pattern(3000);
      const blob = reference(bytes);
      await store.append(blob, 0, pieces(pattern(2000, 9)), { owner: 'mallory' });
      strictEqual(await store.beginUpload(blob, { owner: 'anna' }), 0);
      await upload(store, bytes, 'anna');
      strictEqual(await store.beginUpload(blob, { owner: 'mallory' }), 3000);
    });

    test('collects what is neither kept nor young', async (harness) => {
      const store = await harness.open({ maxTotalBytes: 300 });
      const kept = await store.put(pattern(100, 1));
      const old = await store.put(pattern(100, 2));
      deepStrictEqual(await store.collect(new Set([kept.hash]), { minimumAgeMs: 60_000 }), { removed: 0, bytes: 0 });
      await wait(5);
      deepStrictEqual(await store.collect(new Set([kept.hash])), { removed: 1, bytes: 100 });
      ok(await store.has(kept.hash));
      ok(!(await store.has(old.hash)));
      await store.put(pattern(200, 3));
    });
  });
}

/** Bytes that repeat for the same seed and differ for another. */
function pattern(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let begin = 0; begin < length; begin += 32) {
    bytes.set(hashOf('sha256', `${seed} ${begin}`, 'buffer').subarray(0, Math.min(32, length - begin)), begin);
  }
  return bytes;
}

function reference(bytes: Uint8Array): BlobReference {
  return { hash: createHash('sha256').update(bytes).digest('hex'), byteLength: bytes.byteLength };
}

async function* pieces(bytes: Uint8Array, size = 1000, failAt = Infinity): AsyncGenerator<Uint8Array> {
  for (let begin = 0; begin < bytes.byteLength; begin += size) {
    await Promise.resolve();
    if (begin >= failAt) throw new Error('the line was cut');
    const chunk = bytes.slice(begin, begin + size);
    yield chunk;
    // A chunk is the store's until it asks for the next one; whoever sends it uses its memory again.
    chunk.fill(0xff);
  }
}

function untilReleased(): { readonly promise: Promise<void>; readonly release: () => void } {
  let release: () => void = () => undefined;
  const promise = new Promise<void>((resolve) => {
    release = resolve;
  });
  return { promise, release };
}

async function upload(store: BlobStore, bytes: Uint8Array, owner: string | undefined): Promise<void> {
  const blob = reference(bytes);
  const options = owner === undefined ? {} : { owner };
  const offset = await store.beginUpload(blob, options);
  if (offset < blob.byteLength) await store.append(blob, offset, pieces(bytes.subarray(offset)), options);
  await store.finish(blob, options);
}

/** The bytes of a blob, or of a range of it. */
export async function readBlob(store: BlobStore, hash: string, range?: ByteRange): Promise<Uint8Array> {
  const parts: Buffer[] = [];
  for await (const chunk of await store.openRead(hash, range)) parts.push(Buffer.from(chunk));
  return new Uint8Array(Buffer.concat(parts));
}
