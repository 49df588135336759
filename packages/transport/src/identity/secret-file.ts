import { randomBytes } from 'node:crypto';
import { access, link, mkdir, open, readFile, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errorMessage } from '@zk0/core';
import { syncDirectory } from '@zk0/storage';
import { TransportError } from '../errors.ts';

/** A key or a token is about a hundred bytes. */
const MAX_BYTES = 4096;
/** Read and write for the owner, nothing for anybody else. */
const OWNER_ONLY = 0o600;

/**
 * Reads a file that holds a secret, or makes it with what `make` returns. Of two processes that make it at the same time one wins,
 * and both get its secret.
 *
 * @throws TransportError `SECRET_FILE_UNUSABLE` when others may read the file, when it cannot be read, or cannot be made.
 */
export async function openSecretFile(path: string, what: string, make: () => string): Promise<string> {
  try {
    await access(path);
  } catch {
    try {
      await mkdir(dirname(path), { recursive: true });
      await createWhole(path, make());
    } catch (error) {
      throw unusable(path, what, errorMessage(error), error);
    }
  }
  return readSecretFile(path, what);
}

/** Makes a file that is there whole or not at all, and leaves alone one that another process made first. */
async function createWhole(path: string, content: string): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const handle = await open(temporary, 'wx', OWNER_ONLY);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await link(temporary, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Reads a file that holds a secret. @throws TransportError `SECRET_FILE_UNUSABLE` */
export async function readSecretFile(path: string, what: string): Promise<string> {
  try {
    const { mode, size } = await stat(path);
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new TransportError('SECRET_FILE_UNUSABLE', `${what} ${path}: other users of this machine may read it`, {
        hint: `Make it private with chmod 600 ${path}, or remove it if somebody may have read it.`,
      });
    }
    if (size > MAX_BYTES) throw new Error(`it has ${size} bytes, at most ${MAX_BYTES} are expected`);
    const text = (await readFile(path, 'utf8')).trim();
    if (text === '') throw new Error('it is empty');
    return text;
  } catch (error) {
    throw error instanceof TransportError ? error : unusable(path, what, errorMessage(error), error);
  }
}

function unusable(path: string, what: string, problem: string, cause: unknown): TransportError {
  return new TransportError('SECRET_FILE_UNUSABLE', `${what} ${path}: ${problem}`, {
    cause,
    hint: 'Check the path, the permissions and the disk, or remove the file to have a new one made.',
  });
}
