import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as z from 'zod';

const FILE = 'process.json';

const recordSchema = z.looseObject({
  pid: z.int().min(1),
  /** When it started, ISO 8601. */
  started: z.iso.datetime(),
  /** What tells this process from a later one with the same number; null where the system does not say. */
  birth: z.string().nullable(),
});

/** What a long-running process leaves in its state folder, so that `status` and `stop` find it. */
export type ProcessRecord = z.infer<typeof recordSchema>;

/**
 * Notes that this process works with a state folder, which is there.
 *
 * @param details what people want to know of it, such as its address
 * @returns removes the note
 */
export function writeProcessFile(directory: string, details: Readonly<Record<string, string>> = {}): () => void {
  const file = join(directory, FILE);
  const record: ProcessRecord = { ...details, pid: process.pid, started: new Date().toISOString(), birth: birthOf(process.pid) };
  replaceFile(file, `${JSON.stringify(record, null, 2)}\n`);
  return () => {
    rmSync(file, { force: true });
  };
}

/** The process that works with a state folder; `undefined` when there is none, or the one that was has died. */
export function runningProcess(directory: string): ProcessRecord | undefined {
  try {
    const record = recordSchema.parse(JSON.parse(readFileSync(join(directory, FILE), 'utf8')));
    return isAlive(record) ? record : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Asks a process to stop (SIGTERM) and waits until it is gone.
 *
 * @returns whether it is gone
 */
export async function stopProcess(record: ProcessRecord, timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
  const until = Date.now() + timeoutMs;
  process.kill(record.pid, 'SIGTERM');
  while (isAlive(record)) {
    if (Date.now() >= until || signal?.aborted === true) return false;
    await sleep(100);
  }
  return true;
}

/** Writes a small file that others read at any time: they see the old text or the new one. */
export function replaceFile(file: string, text: string): void {
  const making = `${file}.${process.pid}`;
  writeFileSync(making, text);
  renameSync(making, file);
}

function isAlive({ pid, birth }: ProcessRecord): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it is there, and somebody else's.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const now = birthOf(pid);
  return now !== 'gone' && (birth === null || now === null || now === birth);
}

/** When a process started, in the kernel's ticks; null where there is no /proc, `gone` for one that is waited for by its parent only. */
function birthOf(pid: number): string | null {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return null;
  }
  // The name in brackets may hold anything; the state and the rest stand after the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' ? 'gone' : (fields[19] ?? null);
}
