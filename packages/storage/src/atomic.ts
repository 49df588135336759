import { mkdir, open, readdir, rename, rm, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { fileError, StorageError } from './errors.ts';
import { makeDirectory } from './make-directory.ts';
import { removeStaleTemporaries, temporaryPath } from './temporary.ts';

/** Forces a folder's entries (a rename, a new name) to disk. Windows has no such call and does not need it. */
export async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** How a file is written. */
export interface AtomicWriteOptions {
  readonly mode?: number;
  /**
   * False for what is made again when it is missing or empty: no process sees half a file, but a power cut may leave an empty one.
   * It saves two waits for the disk.
   * @default true
   */
  readonly durable?: boolean;
}

/**
 * Writes a file that is there whole or not at all, also after a power cut: temporary name in the same folder, fsync,
 * rename, fsync of the folder. An existing file is replaced. The folder must exist.
 *
 * @throws StorageError `FILE_NOT_FOUND`, `FILE_UNWRITABLE` or `DISK_FULL`; nothing is left behind.
 */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array,
  { mode, durable = true }: AtomicWriteOptions = {},
): Promise<void> {
  const write = async (handle: FileHandle): Promise<void> => {
    if (mode !== undefined) await handle.chmod(mode);
    await handle.writeFile(data);
  };
  await writeAtomically(path, write, durable);
}

/** As {@link writeFileAtomic}, with the content written by `write` into an open temporary file. */
export async function writeAtomically<T>(path: string, write: (handle: FileHandle) => Promise<T>, durable = true): Promise<T> {
  const temporary = temporaryPath(path);
  try {
    const handle = await open(temporary, 'wx');
    let result: T;
    try {
      result = await write(handle);
      if (durable) await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
    if (durable) await syncDirectory(dirname(path));
    return result;
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw fileError('write', path, error);
  }
}

/**
 * Makes a folder that is there whole or not at all: `build` fills a temporary sibling, which is fsynced and renamed.
 * An existing folder is replaced: it is moved aside, the new one takes its name, and then it is removed. When the new one cannot take
 * the name, the old one gets it back; when the process ends in between, {@link recoverDirectories} and the next call for this folder do
 * that. Siblings left by a process that died half-way are removed. The parent is made if missing.
 *
 * @returns what `build` returned.
 * @throws whatever `build` throws, or a StorageError; the folder is as it was before.
 */
export async function writeDirectoryAtomic<T>(
  directory: string,
  build: (temporaryDirectory: string) => Promise<T>,
): Promise<T> {
  const target = resolve(directory);
  const parent = dirname(target);
  const temporary = temporaryPath(target);
  try {
    makeDirectory(parent);
    await removeStaleTemporaries(parent, basename(target));
    await mkdir(temporary);
  } catch (error) {
    throw fileError('write', directory, error);
  }
  try {
    const result = await build(temporary);
    try {
      await syncTree(temporary);
      await replaceDirectory(temporary, target);
    } catch (error) {
      throw fileError('write', directory, error);
    }
    return result;
  } finally {
    // What cannot be removed now goes when the next folder of this name is written.
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
  }
}

/**
 * Finishes what a crash cut off in a folder: sub-folders that were being replaced get their names back, and what was half-written goes.
 * Call it before the folder's contents are looked at, for each parent of folders that {@link writeDirectoryAtomic} makes.
 *
 * @returns the names of the folders that were put back; none when `parent` does not exist.
 * @throws StorageError
 */
export async function recoverDirectories(parent: string): Promise<string[]> {
  try {
    const restored = await removeStaleTemporaries(parent);
    if (restored.length > 0) await syncDirectory(parent);
    return restored;
  } catch (error) {
    const typed = fileError('write', parent, error);
    if (typed instanceof StorageError && typed.code === 'FILE_NOT_FOUND') return [];
    throw typed;
  }
}

/** Puts `source` in the place of `target`, which is there afterwards whatever happens, if it was before. */
async function replaceDirectory(source: string, target: string): Promise<void> {
  const outgoing = temporaryPath(target, 'old');
  const isReplaced = await rename(target, outgoing).then(() => true, ignoreMissing);
  try {
    await rename(source, target);
  } catch (error) {
    // Should that fail too, the old folder lies beside its name, where the next start looks for it.
    if (isReplaced) await rename(outgoing, target);
    throw error;
  }
  await syncDirectory(dirname(target));
  if (isReplaced) await rm(outgoing, { recursive: true, force: true }).catch(() => undefined);
}

function ignoreMissing(error: unknown): false {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  return false;
}

async function syncTree(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else if (entry.isFile()) {
      const handle = await open(path, 'r+');
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    }
  }
  await syncDirectory(directory);
}
