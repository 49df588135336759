import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { CancelledError } from '@zk0/core';
import { fileError } from '@zk0/storage';
import * as z from 'zod';

const HEARTBEAT_MS = 5000;
/** A lock that was not touched for so long belongs to nobody: its process hangs, or is on a machine that is gone. */
const STALE_MS = 60_000;
const POLL_MS = 200;

const ownerSchema = z.object({ machine: z.string(), pid: z.int().min(1), partial: z.string().regex(/^[\w.-]{1,200}$/) });
type Owner = z.infer<typeof ownerSchema>;

const MACHINE = createHash('sha256').update(hostname()).digest('hex').slice(0, 12);

/**
 * The right of one process to download a blob. Node has no `flock`, so the lock is a file that exists, with its owner in it;
 * that of a dead process is taken over.
 *
 * It saves a second download, no more: every owner writes a partial file of its own name, and only whole, verified files
 * get their final name, by a rename. So a lock that fails costs bandwidth and never content; neither does Python's
 * huggingface_hub, which locks by other means, beside it.
 */
export class BlobLock {
  /** Name of this owner's partial file. */
  readonly partial: string;
  /** Name of the partial file of an owner that died, if there was one. */
  readonly inherited: string | undefined;
  readonly #path: string;
  readonly #heartbeat: NodeJS.Timeout;

  private constructor(path: string, partial: string, inherited: string | undefined) {
    this.#path = path;
    this.partial = partial;
    this.inherited = inherited;
    this.#heartbeat = setInterval(() => void touch(path), HEARTBEAT_MS);
    this.#heartbeat.unref();
  }

  /**
   * Waits for its turn.
   *
   * @param path - the lock file.
   * @param etag - the blob, from which partial files have their names.
   * @param isDone - asked while another process is at it: whether there is nothing left to do.
   * @returns null when there is nothing left to do.
   * @throws StorageError, CancelledError
   */
  static async acquire(
    path: string,
    etag: string,
    isDone: () => Promise<boolean>,
    signal?: AbortSignal,
  ): Promise<BlobLock | null> {
    const owner: Owner = { machine: MACHINE, pid: process.pid, partial: `${etag}.${randomBytes(4).toString('hex')}.incomplete` };
    let inherited: string | undefined;
    await mkdir(dirname(path), { recursive: true }).catch((error: unknown) => {
      throw fileError('write', path, error);
    });
    for (;;) {
      if (await create(path, owner)) {
        const lock = new BlobLock(path, owner.partial, inherited);
        // Whoever had it before may have finished in between.
        if (!(await isDone())) return lock;
        await lock.release();
        return null;
      }
      const found = await look(path);
      if (found?.isStale === true) {
        inherited = (await removeStale(path, found.text)) ?? inherited;
        continue;
      }
      if (await isDone()) return null;
      await wait(POLL_MS, undefined, { signal }).catch((cause: unknown) => {
        throw new CancelledError('the download', { cause });
      });
    }
  }

  async release(): Promise<void> {
    clearInterval(this.#heartbeat);
    await rm(this.#path, { force: true });
  }
}

/** Makes the lock file with its content; false when there is one. */
async function create(path: string, owner: Owner): Promise<boolean> {
  try {
    const handle = await open(path, 'wx', 0o664);
    try {
      await handle.writeFile(JSON.stringify(owner));
    } finally {
      await handle.close();
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw fileError('write', path, error);
  }
}

async function look(path: string): Promise<{ readonly text: string; readonly isStale: boolean } | null> {
  try {
    const [text, { mtimeMs }] = [await readFile(path, 'utf8'), await stat(path)];
    const owner = parseOwner(text);
    const isDead = owner?.machine === MACHINE && owner.pid !== process.pid && !isRunning(owner.pid);
    return { text, isStale: isDead || Date.now() - mtimeMs > STALE_MS };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw fileError('read', path, error);
  }
}

/** Of several that find a lock stale, one moves it away; says what its owner's partial file was. */
async function removeStale(path: string, text: string): Promise<string | undefined> {
  const aside = `${path}.${randomBytes(4).toString('hex')}.stale`;
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw fileError('write', path, error);
  }
  const taken = await readFile(aside, 'utf8').catch(() => '');
  await rm(aside, { force: true });
  // Another was quicker, and what was moved away is its new lock: both go on, each in its own file.
  return taken === text ? parseOwner(text)?.partial : undefined;
}

function parseOwner(text: string): Owner | null {
  try {
    return ownerSchema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

async function touch(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now).catch(() => undefined);
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
