import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';

/** `old`: a folder that is being replaced; `tmp`: anything that is being made. */
type Kind = 'tmp' | 'old';

const TEMPORARY =
  /^\.(?<target>.+)\.(?:(?<scope>[0-9a-f]{8})-)?(?<pid>\d{1,10})(?:-(?<birth>\d{1,20}))?-[0-9a-f]{12}\.(?<kind>tmp|old)$/;

/** What a process of another boot, container or machine left is removed when nobody touched it for so long: its end cannot be seen. */
const FOREIGN_IDLE_MS = 3600_000;

/** A process that writes, as its temporary names tell it. */
interface Owner {
  /** Names the boot and the process namespace in which the process id counts. */
  readonly scope: string;
  readonly pid: number;
  /** When the process started, in the kernel's ticks; '0' where the system does not tell. */
  readonly birth: string;
}

let self: Owner | undefined;

/**
 * This process. A process id alone does not name one: in a container the program is process 1 each time, so what its last life left
 * would belong to it for ever. With the start time and the boot it does.
 */
function thisProcess(): Owner {
  return (self ??= { scope: scopeOf(), pid: process.pid, birth: birthOf(process.pid) ?? '0' });
}

/** A name beside `path` that nobody else uses: hidden, and naming the process so that leftovers can be told. */
export function temporaryPath(path: string, kind: Kind = 'tmp'): string {
  const { scope, pid, birth } = thisProcess();
  return join(dirname(path), `.${basename(path)}.${scope}-${pid}-${birth}-${randomBytes(6).toString('hex')}.${kind}`);
}

/**
 * Removes temporary files and folders in `directory` whose process is gone; those of `target` only, when given. A folder whose
 * replacement was cut off between its two renames is put back.
 *
 * @returns the names of folders that were put back.
 */
export async function removeStaleTemporaries(directory: string, target?: string): Promise<string[]> {
  const outgoing = new Map<string, string[]>();
  for (const name of await readdir(directory)) {
    const parts = TEMPORARY.exec(name)?.groups as (Record<string, string | undefined> & { target: string; kind: Kind }) | undefined;
    if (parts === undefined || (target !== undefined && parts.target !== target)) continue;
    const path = join(directory, name);
    const owner = { scope: parts['scope'] ?? '', pid: Number(parts['pid']), birth: parts['birth'] ?? '0' };
    // Between two renames lie microseconds: a folder that is still aside there was left so.
    if (await isAtWork(owner, path, parts.kind === 'old' ? 0 : FOREIGN_IDLE_MS)) continue;
    if (parts.kind === 'tmp') await rm(path, { recursive: true, force: true });
    else outgoing.set(parts.target, [...(outgoing.get(parts.target) ?? []), path]);
  }
  const restored: string[] = [];
  for (const [name, paths] of outgoing) {
    if (await restore(join(directory, name), paths)) restored.push(name);
  }
  return restored;
}

/** Gives the newest of these folders its name back when nothing has it, and removes the others. */
async function restore(target: string, paths: readonly string[]): Promise<boolean> {
  const dated = await Promise.all(paths.map(async (path) => ({ path, at: (await stat(path)).ctimeMs })));
  dated.sort((a, b) => b.at - a.at);
  const isMissing = await stat(target).then(() => false, isNotFound);
  if (isMissing) await rename(dated.shift()!.path, target);
  for (const { path } of dated) await rm(path, { recursive: true, force: true });
  return isMissing;
}

async function isAtWork(owner: Owner, path: string, foreignIdleMs: number): Promise<boolean> {
  const own = thisProcess();
  if (owner.scope !== own.scope) {
    const modified = await stat(path).then(({ mtimeMs }) => mtimeMs, () => 0);
    return Date.now() - modified < foreignIdleMs;
  }
  if (owner.birth === '0') return isRunning(owner.pid);
  return birthOf(owner.pid) === owner.birth;
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

function scopeOf(): string {
  const hash = createHash('sha256');
  try {
    hash.update(readFileSync('/proc/sys/kernel/random/boot_id')).update(readlinkSync('/proc/self/ns/pid'));
  } catch {
    hash.update(hostname());
  }
  return hash.digest('hex').slice(0, 8);
}

/** Field 22 of `/proc/<pid>/stat`; the name before it may hold anything, a closing bracket too. */
function birthOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

function isNotFound(error: unknown): boolean {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
  throw error;
}
