import { mkdir, open, readdir, rename, rm, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { fileError } from './errors.ts';
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

/**
 * Writes a file that is there whole or not at all, also after a power cut: temporary name in the same folder, fsync,
 * rename, fsync of the folder. An existing file is replaced. The folder must exist.
 *
 * @throws StorageError `FILE_NOT_FOUND`, `FILE_UNWRITABLE` or `DISK_FULL`; nothing is left behind.
 */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array,
  options: { readonly mode?: number } = {},
): Promise<void> {
  await writeAtomically(path, async (handle) => {
    if (options.mode !== undefined) await handle.chmod(options.mode);
    await handle.writeFile(data);
  });
}

/** As {@link writeFileAtomic}, with the content written by `write` into an open temporary file. */
export async function writeAtomically<T>(path: string, write: (handle: FileHandle) => Promise<T>): Promise<T> {
  const temporary = temporaryPath(path);
  try {
    const handle = await open(temporary, 'wx');
    let result: T;
    try {
      result = await write(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
    await syncDirectory(dirname(path));
    return result;
  } catch (error) {
    await rm(temporary, { force: true });
    throw fileError('write', path, error);
  }
}

/**
 * Makes a folder that is there whole or not at all: `build` fills a temporary sibling, which is fsynced and renamed.
 * An existing folder is replaced; between its removal and the new name there is an instant in which neither is there,
 * never a mixture of both. Siblings left by a process that died half-way are removed. The parent is made if missing.
 *
 * @returns what `build` returned.
 * @throws whatever `build` throws, or a StorageError; nothing is left behind.
 */
export async function writeDirectoryAtomic<T>(
  directory: string,
  build: (temporaryDirectory: string) => Promise<T>,
): Promise<T> {
  const target = resolve(directory);
  const parent = dirname(target);
  const temporary = temporaryPath(target);
  const replaced = temporaryPath(target);
  try {
    await mkdir(parent, { recursive: true });
    await removeStaleTemporaries(parent, basename(target));
    await mkdir(temporary);
  } catch (error) {
    throw fileError('write', directory, error);
  }
  try {
    const result = await build(temporary);
    try {
      await syncTree(temporary);
      await rename(target, replaced).catch(ignoreMissing);
      await rename(temporary, target);
      await syncDirectory(parent);
    } catch (error) {
      throw fileError('write', directory, error);
    }
    return result;
  } finally {
    await rm(temporary, { recursive: true, force: true });
    await rm(replaced, { recursive: true, force: true });
  }
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
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
