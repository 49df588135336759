import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** How long a client may take to leave after it was asked to. */
const GRACE_MS = 10_000;

/** A client process that a simulation started. */
export interface ClientProcess {
  readonly clientId: string;
  /** Resolves with the exit code (or signal name) when the process is gone. */
  readonly exited: Promise<{ readonly code: number | null; readonly lastLine: string }>;
  /** Asks it to leave; kills it when it does not. Resolves when it is gone. */
  stop(): Promise<void>;
}

/**
 * Starts `zk0-client start …` as a process of its own. The IPC channel is a lifeline: a client that loses it leaves, so
 * that none outlives a simulation that was killed.
 */
export function startClientProcess(clientId: string, args: readonly string[]): ClientProcess {
  const entry = fileURLToPath(import.meta.resolve('@zk0/client/main'));
  const conditions = entry.endsWith('.ts') ? ['--conditions=@zk0/source'] : [];
  const child = spawn(process.execPath, [...conditions, entry, 'start', ...args], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    // Its own group: a Ctrl-C in the terminal reaches the simulation alone, which then stops its clients in order.
    detached: true,
  });
  let lastLine = '';
  createInterface({ input: child.stderr! }).on('line', (line) => {
    if (line.trim() !== '') lastLine = line;
  });
  const exited = new Promise<{ code: number | null; lastLine: string }>((resolve) => {
    child.once('error', (error) => {
      resolve({ code: null, lastLine: error.message });
    });
    child.once('close', (code) => {
      resolve({ code, lastLine });
    });
  });
  return { clientId, exited, stop: () => stopProcess(child, exited) };
}

async function stopProcess(child: ChildProcess, exited: Promise<unknown>): Promise<void> {
  // Not `disconnect()`: Node emits no `close` for a child whose channel the parent closed.
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
  await exited;
  clearTimeout(timer);
}
