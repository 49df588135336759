import { open } from 'node:fs/promises';
import { errorMessage } from '@zk0/core';
import { fileError, StorageError } from './errors.ts';
import { readFully } from './io.ts';
import { refusePointer } from './pointer-file.ts';

/** JSON files are configurations, statistics and indices; more than this is not one of them. */
export const MAX_JSON_BYTES = 64 << 20;

/** Anything with zod's `parse`; storage itself needs no schema library. */
export interface Schema<T> {
  parse(value: unknown): T;
}

/**
 * Reads and checks a JSON file.
 *
 * @throws StorageError `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `FILE_POINTER`, or `JSON_INVALID` naming the file and what the schema said.
 */
export async function readJsonFile(path: string): Promise<unknown>;
export async function readJsonFile<T>(path: string, schema: Schema<T>): Promise<T>;
export async function readJsonFile(path: string, schema?: Schema<unknown>): Promise<unknown> {
  const text = await readText(path);
  try {
    const value: unknown = JSON.parse(text);
    return schema === undefined ? value : schema.parse(value);
  } catch (error) {
    throw new StorageError('JSON_INVALID', `${path}: not the JSON that belongs there (${errorMessage(error)})`, {
      cause: error,
      hint: 'The file is damaged or of another version; fetch or write it again.',
    });
  }
}

async function readText(path: string): Promise<string> {
  try {
    const handle = await open(path, 'r');
    try {
      const { size } = await handle.stat();
      if (size > MAX_JSON_BYTES) {
        throw new StorageError('JSON_INVALID', `${path}: ${size} bytes, JSON files may have ${MAX_JSON_BYTES}`);
      }
      await refusePointer(path, handle, size);
      const bytes = new Uint8Array(size);
      if (!(await readFully(handle, bytes, 0))) throw new Error('the file shrank while it was read');
      return new TextDecoder().decode(bytes);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileError('read', path, error);
  }
}
