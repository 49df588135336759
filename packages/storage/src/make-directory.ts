import { accessSync, constants, mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { StorageError } from './errors.ts';

/** What the system's refusals mean where a folder was to be made. */
const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'its parent may not be written',
  EPERM: 'its parent may not be written',
  EROFS: 'the file system is read-only',
  ENOENT: 'nothing can be made there',
  ENOTDIR: 'a file has that name, or that of a parent',
  EEXIST: 'a file has that name, or that of a parent',
  ENOSPC: 'no space is left',
  EDQUOT: 'no space is left',
  ENAMETOOLONG: 'a name in the path is too long',
  ELOOP: 'links in the path go in a circle',
};

/**
 * Makes a folder and its parents where they are missing, and sees that it can be written. Node's own recursive `mkdir` goes on for ever in
 * places where nothing can be made, such as `/proc`.
 *
 * @throws StorageError `FILE_UNWRITABLE` with the reason in words
 */
export function makeDirectory(directory: string): void {
  try {
    make(resolve(directory));
    accessSync(directory, constants.W_OK | constants.X_OK);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? '';
    const reason = code === 'EACCES' && isDirectory(directory) ? 'it may not be written' : (REASONS[code] ?? `the system says ${code || 'no'}`);
    throw new StorageError('FILE_UNWRITABLE', `cannot write to ${directory}: ${reason}`, { cause, hint: 'Choose another folder.' });
  }
}

function make(path: string): void {
  if (isDirectory(path)) return;
  const parent = dirname(path);
  // Each parent once: what cannot be made below one that exists is an error, not a reason to look at the parents again.
  if (parent !== path && !isDirectory(parent)) make(parent);
  try {
    mkdirSync(path);
  } catch (error) {
    // Another process was faster.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !isDirectory(path)) throw error;
  }
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
