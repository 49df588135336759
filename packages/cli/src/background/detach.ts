import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { Zk0Error } from '@zk0/core/errors';

/** Set in the environment of a process that was started in the background, until it knows. */
const MARK = 'ZK0_DETACHED';

/** How a program that goes to the background tells the one that started it that all is well. */
interface ReadyMessage {
  readonly zk0Ready: readonly string[];
}

/** What came of starting a program in the background. */
export interface Detached {
  readonly pid: number;
  /** What it says to whoever started it; `null` when it is still getting ready. */
  readonly lines: readonly string[] | null;
}

/**
 * Starts this same command again without `--detach`, as a process that outlives this one and its terminal.
 *
* @param output file, in a folder that is there, for what it writes outside of its log: a crash, above all
 * @param waitMs how long to wait until it says that it is ready
 * @throws Zk0Error `BACKGROUND_FAILED` with its last words, when it ends before that
 */
export async function detach(output: string, waitMs: number): Promise<Detached> {
  const sink = openSync(output, 'w', 0o600);
  const args = process.argv.slice(1).filter((arg) => arg !== '--detach');
  const child = spawn(process.execPath, [...process.execArgv, ...args], {
    detached: true,
    stdio: ['ignore', sink, sink, 'ipc'],
    env: { ...process.env, [MARK]: '1' },
  });
  closeSync(sink);
  const outcome = await new Promise<readonly string[] | number | null>((resolve, reject) => {
    const timer = setTimeout(() => { resolve(null); }, waitMs);
    child.once('error', reject);
    child.once('message', (message) => { resolve((message as ReadyMessage).zk0Ready); });
    child.once('exit', (code) => { resolve(code ?? 1); });
    child.once('close', () => { clearTimeout(timer); });
  });
  if (typeof outcome === 'number') {
    const said = readFileSync(output, 'utf8').trim().split('\n').slice(-1)[0]!.replace(/^error: /, '');
    throw new Zk0Error('BACKGROUND_FAILED', said === '' ? `it ended at once (exit ${outcome})` : said, {
      hint: 'Start it without --detach to see everything that it says.',
    });
  }
  child.disconnect();
  child.unref();
  return { pid: child.pid!, lines: outcome };
}

/** Whether this process was started by {@link detach}. */
export function isDetached(): boolean {
  return process.env[MARK] === '1';
}

/** Tells whoever started this process in the background that it is ready; does nothing in others. */
export function announceReady(lines: readonly string[]): void {
  if (!isDetached() || process.send === undefined || !process.connected) return;
  process.send({ zk0Ready: lines } satisfies ReadyMessage, undefined, undefined, () => undefined);
}
