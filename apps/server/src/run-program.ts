import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { setPriority } from 'node:os';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { CancelledError, Zk0Error } from '@zk0/core';

/** How long a program may take to end after it was asked to. */
const GRACE_MS = 15_000;

export interface ProgramOptions {
  readonly which: 'server' | 'client';
  readonly args: readonly string[];
  /** Everything it says on stderr goes there. */
  readonly log: string;
  readonly signal: AbortSignal;
  /** Added to its priority as `nice` does; 0 by default. */
  readonly niceness?: number;
  /** Called with every line that it says on stderr: its progress. */
  readonly onLine?: (line: string) => void;
}

/**
 * Runs one of the two programs of this installation and resolves to what it wrote on stdout.
 *
 * @throws Zk0Error `PROGRAM_FAILED` with the last line it said; CancelledError when `signal` aborts
 */
export async function runProgram({ which, args, log, signal, niceness = 0, onLine }: ProgramOptions): Promise<string> {
  signal.throwIfAborted();
  await mkdir(dirname(log), { recursive: true });
  const file = createWriteStream(log);
  const entry = fileURLToPath(which === 'client' ? import.meta.resolve('@zk0/client/main') : serverEntry());
  const conditions = entry.endsWith('.ts') ? ['--disable-warning=ExperimentalWarning', '--conditions=@zk0/source'] : [];
  const child = spawn(process.execPath, [...conditions, entry, ...args], {
    // The channel is a lifeline: a simulation that loses it stops, so that none outlives a sweep that was killed.
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // Its own group: a Ctrl-C in the terminal reaches its parent alone, which then stops its programs in order.
    detached: true,
  });
  if (niceness !== 0 && child.pid !== undefined) await giveWay(child.pid, niceness);
  let [stdout, lastLine] = ['', ''];
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  createInterface({ input: child.stderr! }).on('line', (line) => {
    if (line.trim() === '') return;
    lastLine = line;
    file.write(`${line}\n`);
    onLine?.(line);
  });
  let killer: NodeJS.Timeout | undefined;
  const stop = (): void => {
    child.kill('SIGINT');
    killer = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
  };
  signal.addEventListener('abort', stop);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (signal.aborted) throw new CancelledError(`zk0-${which} ${args[0] ?? ''}`);
    if (code === 0) return stdout;
    throw new Zk0Error('PROGRAM_FAILED', `zk0-${which} ${args[0] ?? ''} ended (exit ${code ?? 'unknown'}): ${lastLine.replace(/^error: /, '') || 'it said nothing'}`, {
      hint: `Its log is ${log}.`,
    });
  } finally {
    clearTimeout(killer);
    signal.removeEventListener('abort', stop);
    file.end();
  }
}

/**
 * Lowers the priority of a program in a session of its own. Where Linux shares the processor among sessions first (autogroup), the
 * program's own niceness counts for nothing against other sessions: the session is made as nice.
 */
async function giveWay(pid: number, niceness: number): Promise<void> {
  setPriority(pid, niceness);
  await writeFile(`/proc/${pid}/autogroup`, String(niceness)).catch(() => undefined);
}

/** This program's own entry: beside the bundle, or in the sources. */
function serverEntry(): string {
  return new URL(import.meta.url.endsWith('.ts') ? './main.ts' : './main.js', import.meta.url).href;
}
