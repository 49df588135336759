import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, rename, rm, symlink } from 'node:fs/promises';
import { dirname, relative } from 'node:path';
import { fileError } from '@zk0/storage';

/** What a file system without symbolic links, or a user who may not make them, answers. */
const NO_LINKS = new Set(['EPERM', 'EACCES', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EINVAL']);

/**
 * Puts a blob under its name in a snapshot: as a relative link; where links cannot be made, as the file itself, moved when
 * it has just come (`isNew`), else copied. Whatever is under the name is replaced in one step.
 *
 * @throws StorageError
 */
export async function placeInSnapshot(
  blob: string,
  pointer: string,
  { isNew, symlinks }: { readonly isNew: boolean; readonly symlinks: boolean },
): Promise<void> {
  const temporary = `${pointer}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    await mkdir(dirname(pointer), { recursive: true });
    if (!symlinks || !(await tryLink(relative(dirname(pointer), blob), temporary))) {
      if (isNew) {
        await rename(blob, pointer);
        return;
      }
      await copyFile(blob, temporary);
    }
    await rename(temporary, pointer);
  } catch (error) {
    await rm(temporary, { force: true });
    throw fileError('write', pointer, error);
  }
}

async function tryLink(target: string, path: string): Promise<boolean> {
  try {
    await symlink(target, path, 'file');
    return true;
  } catch (error) {
    if (NO_LINKS.has((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}
