import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RunEvent } from '@zk0/core';
import { openSqliteStores, Ledger } from '@zk0/federation';

const repository = fileURLToPath(new URL('../../../', import.meta.url));

/** Real recordings, where they are at hand. */
export const sharedData = process.env['ZK0_TEST_DATA'] ?? join(repository, '..', 'shared', 'data');

/** A program that was started, and what it has said so far. */
export interface RunningProgram {
  readonly child: ChildProcess;
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Resolves with the exit code when it has ended. */
  readonly exited: Promise<number | null>;
  /** Resolves with the match once stdout or stderr holds it. */
  until(pattern: RegExp): Promise<RegExpExecArray>;
}

/** Where the coverage of programs goes, if it is asked for. */
const counted = process.env['ZK0_TEST_COVERAGE'] === undefined ? {} : { NODE_V8_COVERAGE: process.env['ZK0_TEST_COVERAGE'] };

const started = new Set<ChildProcess>();

/** Ends what a failed test has left running. */
export function killStartedPrograms(): void {
  for (const child of started) child.kill('SIGKILL');
}

/** Starts the built `zk0-server` or `zk0-client` as a process of its own. */
export function startProgram(app: 'server' | 'client', args: readonly string[], home: string, cwd = home): RunningProgram {
  const main = join(repository, 'apps', app, 'dist', 'main.js');
  const child = spawn(process.execPath, [main, ...args], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    // Without the conditions of the test runner, under which packages are their sources.
    env: { ...process.env, ...counted, ZK0_HOME: home, NO_COLOR: '1', NODE_OPTIONS: '' },
  });
  started.add(child);
  child.once('close', () => started.delete(child));
  let stdout = '';
  let stderr = '';
  const watchers = new Set<() => void>();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    for (const watch of watchers) watch();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    for (const watch of watchers) watch();
  });
  const exited = new Promise<number | null>((resolve) => {
    child.once('close', (code) => {
      resolve(code);
    });
  });
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    exited,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const watch = (): void => {
          const match = pattern.exec(stdout) ?? pattern.exec(stderr);
          if (match === null) return;
          watchers.delete(watch);
          resolve(match);
        };
        watchers.add(watch);
        watch();
        void exited.then((code) => {
          watch();
          reject(new Error(`exit ${code ?? 'by signal'} before ${String(pattern)}:\n${stdout}\n${stderr}`));
        });
      }),
  };
}

/** Runs a program to its end. */
export async function runProgram(
  app: 'server' | 'client',
  args: readonly string[],
  home: string,
  cwd = home,
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const program = startProgram(app, args, home, cwd);
  const code = await program.exited;
  return { code, stdout: program.stdout(), stderr: program.stderr() };
}

/** A new folder to be a program's `ZK0_HOME`, and how to remove it. Demo datasets and presets in it are those of all tests of this run. */
export function temporaryDirectory(): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'zk0-app-'));
  const generated = process.env['ZK0_TEST_GENERATED'];
  if (generated !== undefined) for (const name of ['demo', 'presets']) symlinkSync(join(generated, name), join(path, name), 'junction');
  return {
    path,
    remove: () => {
      rmSync(path, { recursive: true, force: true });
    },
  };
}

/** A line of a run's `metrics.jsonl`: the fields that tests look at. */
export interface MetricRow {
  readonly type: string;
  readonly round: number;
  readonly client_id?: string;
  readonly param_hash?: string;
  readonly reason?: string;
}

/** What a run has measured so far, line by line. */
export function metricRows(out: string): MetricRow[] {
  const lines = readFileSync(join(out, 'metrics.jsonl'), 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line) as MetricRow);
}

/** The parameter hash of every round, round 0 included. */
export function hashes(out: string): string[] {
  return metricRows(out)
    .filter(({ type }) => type === 'round')
    .map(({ param_hash: hash }) => hash!);
}

/** Everything that happened to the runs of a server that has stopped, in order. */
export async function ledgerEvents(out: string): Promise<RunEvent[]> {
  const stores = openSqliteStores(join(out, '.server', 'journal.sqlite'));
  try {
    const ledger = await Ledger.open(stores.ledger);
    const entries = await Promise.all((await ledger.summaries()).map(({ runId }) => ledger.entries(runId)));
    return entries.flat().map(({ event }) => event);
  } finally {
    stores.close();
  }
}
