import { randomBytes } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

const TEMPORARY = /^\.(?<target>.+)\.(?<pid>\d+)-[0-9a-f]{12}\.tmp$/;

/** A name beside `path` that nobody else uses: hidden, and naming the process so that leftovers can be told. */
export function temporaryPath(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}-${randomBytes(6).toString('hex')}.tmp`);
}

/** Removes temporary files and folders in `directory` whose process is gone; those of `target` only, when given. */
export async function removeStaleTemporaries(directory: string, target?: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const parts = TEMPORARY.exec(name)?.groups;
    if (parts === undefined || (target !== undefined && parts['target'] !== target)) continue;
    if (!isRunning(Number(parts['pid']))) await rm(join(directory, name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it runs, under another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
