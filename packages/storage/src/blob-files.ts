import { copyFile, link, open, stat } from 'node:fs/promises';
import type { BlobReference } from '@zk0/core';
import { fileError, StorageError } from './errors.ts';
import { writeFully } from './io.ts';

/** Writes a file that must not be there yet; where `durable`, it is forced to disk. */
export async function writeNew(path: string, bytes: Uint8Array, durable: boolean): Promise<void> {
  const handle = await open(path, 'wx');
  try {
    await writeFully(handle, bytes, 0);
    if (durable) await handle.sync();
  } finally {
    await handle.close();
  }
}

export async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!['EXDEV', 'EPERM', 'ENOTSUP', 'EMLINK'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    await copyFile(from, to);
  }
}

export async function syncFile(path: string): Promise<void> {
  const handle = await open(path, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** @throws StorageError `HASH_MISMATCH` when the file has another size than was written. */
export async function assertSize(path: string, { hash, byteLength }: BlobReference): Promise<void> {
  const { size } = await stat(path).catch((error: unknown) => {
    throw fileError('read', path, error);
  });
  if (size !== byteLength) throw new StorageError('HASH_MISMATCH', `${path} has ${size} bytes, not the ${byteLength} that were written as ${hash}`);
}
