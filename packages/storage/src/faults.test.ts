import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { Zk0Error } from '@zk0/core';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { randomBytes, scratchDirectories } from '../test/scratch.ts';
import { fileError, isPassingStorageError, openBlobStore, StorageError, writeDirectoryAtomic, writeFileAtomic } from './index.ts';

const scratch = scratchDirectories();
const original = { ...fs.promises };

/** Makes the `at`-th call of a function of the file system fail, as the kernel would. */
function fail(name: 'rename' | 'open' | 'readdir' | 'rm', code: string, at = 1): void {
  let calls = 0;
  const real = original[name] as (...args: unknown[]) => Promise<unknown>;
  const replacement = (...args: unknown[]): Promise<unknown> =>
    ++calls === at ? Promise.reject(Object.assign(new Error(`${code}: it failed`), { code })) : Reflect.apply(real, original, args);
  Object.assign(fs.promises, { [name]: replacement });
  syncBuiltinESMExports();
}

afterEach(() => {
  Object.assign(fs.promises, original);
  syncBuiltinESMExports();
});

describe('a folder that is replaced', () => {
  const replace = (target: string): Promise<void> =>
    writeDirectoryAtomic(target, (directory) => writeFile(join(directory, 'new'), 'new'));

  it('is there as before when the new one cannot take its name', async () => {
    const root = await scratch();
    const target = join(root, 'checkpoint');
    await mkdir(target);
    await writeFile(join(target, 'old'), 'old');
    fail('rename', 'EIO', 2);
    await expect(replace(target)).rejects.toMatchObject({ code: 'DISK_FAULT' });
    expect(await readFile(join(target, 'old'), 'utf8')).toBe('old');
    expect(await readdir(root)).toEqual(['checkpoint']);
    await replace(target);
    expect(await readdir(target)).toEqual(['new']);
  });

  it('counts as replaced when only the removal of the old one fails', async () => {
    const root = await scratch();
    const target = join(root, 'checkpoint');
    await mkdir(target);
    fail('rm', 'EIO');
    await replace(target);
    expect(await readdir(target)).toEqual(['new']);
  });
});

describe('errors of the operating system', () => {
  it.each([
    ['ENOSPC', 'DISK_FULL', true],
    ['EDQUOT', 'DISK_FULL', true],
    ['EROFS', 'DISK_READ_ONLY', true],
    ['EIO', 'DISK_FAULT', true],
    ['ESTALE', 'DISK_FAULT', true],
    ['EMFILE', 'FILES_EXHAUSTED', true],
    ['ENFILE', 'FILES_EXHAUSTED', true],
    ['ENOENT', 'FILE_NOT_FOUND', false],
    ['EACCES', 'FILE_UNWRITABLE', false],
    ['EISDIR', 'FILE_UNWRITABLE', false],
  ])('%s is %s when writing; it may pass: %s', (system, code, passing) => {
    const cause = Object.assign(new Error(`${system}: at the kernel`), { code: system });
    const error = fileError('write', '/data/file', cause);
    expect(error).toMatchObject({ code, message: expect.stringContaining('/data/file') as string, hint: expect.stringMatching(/\.$/) as string });
    expect(isPassingStorageError(error)).toBe(passing);
    // Also where no function of this package has seen it, or another error was made of it.
    expect(isPassingStorageError(cause)).toBe(passing);
    expect(isPassingStorageError(new Zk0Error('OUTPUT_UNWRITABLE', 'no chart', { cause }))).toBe(passing);
  });

  it('pass where a store is full, and not where data are damaged or a caller is wrong', () => {
    expect(isPassingStorageError(new StorageError('STORE_FULL', ''))).toBe(true);
    for (const code of ['BLOB_DAMAGED', 'BLOB_NOT_FOUND', 'HASH_MISMATCH', 'UPLOAD_QUOTA', 'BLOB_TOO_LARGE', 'FILE_UNREADABLE'] as const) {
      expect(isPassingStorageError(new StorageError(code, ''))).toBe(false);
    }
    for (const other of [undefined, null, 'EIO', new Error('x'), { code: 'EIO' }]) expect(isPassingStorageError(other)).toBe(false);
    const circle = new Error('round');
    circle.cause = circle;
    expect(isPassingStorageError(circle)).toBe(false);
  });

  it.each([['readdir', 'EMFILE'], ['rm', 'EIO']] as const)('are typed when %s fails while a store collects, and it goes on after that', async (call, code) => {
    const store = await openBlobStore(await scratch());
    await store.put(randomBytes(100));
    fail(call, code);
    await expect(store.collect(new Set())).rejects.toSatisfy((error) => error instanceof StorageError && isPassingStorageError(error));
    expect(await store.collect(new Set())).toEqual({ removed: 1, bytes: 100 });
  });

  it('leave a budget as it was', async () => {
    const store = await openBlobStore(await scratch(), { maxTotalBytes: 100 });
    for (const call of ['open', 'rename'] as const) {
      fail(call, 'ENOSPC');
      await expect(store.put(randomBytes(100))).rejects.toMatchObject({ code: 'DISK_FULL' });
      fail('open', 'EMFILE');
      await expect(store.beginUpload({ hash: '0'.repeat(64), byteLength: 100 })).rejects.toMatchObject({ code: 'FILES_EXHAUSTED' });
    }
    await store.put(randomBytes(100));
  });

  it.each(['while it arrives', 'at its end'])('make an upload begin anew when the disk does not take it %s', async (when) => {
    const directory = await scratch();
    const store = await openBlobStore(directory);
    const bytes = randomBytes(3 << 20);
    const large = when === 'at its end' ? 1 : 24;
    async function* chunks(): AsyncGenerator<Uint8Array> {
      for (let index = 0; index < large; index++) {
        await Promise.resolve();
        yield bytes;
      }
    }
    const hash = createHash('sha256');
    for (let index = 0; index < large; index++) hash.update(bytes);
    const blob = { hash: hash.digest('hex'), byteLength: large * bytes.byteLength };
    const handle = await fs.promises.open(join(directory, 'any'), 'w');
    const spy = vi.spyOn(Object.getPrototypeOf(handle) as typeof handle, 'datasync').mockRejectedValueOnce(Object.assign(new Error('EIO: it failed'), { code: 'EIO' }));
    await handle.close();
    const send = async (): Promise<void> => {
      await store.append(blob, await store.beginUpload(blob), chunks());
      await store.finish(blob);
    };
    await expect(send()).rejects.toMatchObject({ code: 'DISK_FAULT' });
    // What the disk holds is not known: nothing of it counts.
    expect(await store.beginUpload(blob)).toBe(0);
    await send();
    expect(await store.size(blob.hash)).toBe(blob.byteLength);
    spy.mockRestore();
  });

  it('are told by the name of the file', async () => {
    const file = join(await scratch(), 'file');
    fail('open', 'EMFILE');
    await expect(writeFileAtomic(file, 'x')).rejects.toMatchObject({ code: 'FILES_EXHAUSTED', message: expect.stringContaining(file) as string });
  });
});
