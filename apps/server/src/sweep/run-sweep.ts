import { existsSync, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { formatDuration, type Progress } from '@zk0/cli';
import { errorMessage, Zk0Error } from '@zk0/core';
import { openSqliteStores } from '@zk0/federation';
import { RunPaths } from '../outputs/index.ts';
import { runProgram } from '../run-program.ts';
import { STATE_FOLDER, stateFiles } from '../state-files.ts';
import { versions } from '../versions.ts';
import { labelOf, type SweepRun } from './plan-sweep.ts';
import type { SweepRecord } from './sweep-record.ts';

/** How long a simulation whose sweep was killed may take to stop. */
const STOPPING_MS = 60_000;
const POLL_MS = 250;

/** What running a sweep needs. */
export interface RunSweepOptions {
  /** The sweep's folder; each run gets one below it. */
  readonly out: string;
  /** Runs at the same time. */
  readonly maxParallel: number;
  /** Trackers of every run. */
  readonly track: readonly string[];
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** Called after each run that has ended. */
  readonly onEnded: () => void;
}

/**
 * Runs what a sweep has not finished yet, each run as a `zk0-server simulate` of its own. A run that fails is noted, and the others go on. One
 * that was broken off starts again from its first round.
 *
 * @returns resolves when all have ended, or when `signal` is aborted and those running have stopped
 */
export async function runSweep(runs: readonly SweepRun[], record: SweepRecord, options: RunSweepOptions): Promise<void> {
  const { maxParallel, progress, signal } = options;
  const queue = runs.filter((run) => record.of(run)?.state !== 'finished');
  const total = runs.length;
  let ended = total - queue.length;
  const show = (detail: string): void => {
    progress.update({ label: 'runs', done: ended, total, detail });
  };
  const worker = async (): Promise<void> => {
    for (let run = queue.shift(); run !== undefined && !signal.aborted; run = queue.shift()) {
      const label = labelOf(run.varied);
      progress.print(`${label}: starts`);
      const startedAt = new Date();
      await runOne(run, record, startedAt, { ...options, onLine: (line) => { show(`${label}: ${line.trim()}`); } });
      if (record.of(run)?.state !== 'started') {
        ended++;
        const { state, message } = record.of(run)!;
        progress.print(`${label}: ${state} after ${formatDuration((Date.now() - startedAt.getTime()) / 1000)}${message === undefined ? '' : `: ${message}`}`);
        options.onEnded();
      }
      show('');
    }
  };
  await Promise.all(Array.from({ length: Math.min(maxParallel, queue.length) }, worker));
}

async function runOne(
  run: SweepRun,
  record: SweepRecord,
  startedAt: Date,
  { out, signal, track, onLine }: RunSweepOptions & { readonly onLine: (line: string) => void },
): Promise<void> {
  const directory = join(out, run.name);
  const known = { name: run.name, varied: run.varied as Record<string, never>, startedAt: startedAt.toISOString(), version: versions().zk0 };
  try {
    await clearUnfinished(directory, record.of(run) !== undefined, signal);
    record.note(run, { ...known, state: 'started' });
    await mkdir(directory, { recursive: true });
    const settings = join(directory, 'settings.json');
    await writeFile(settings, `${JSON.stringify(run.settings, null, 2)}\n`);
    await runProgram({ which: 'server', args: [...simulateArguments(run, settings, directory, record.threads), ...track.flatMap((address) => ['--track', address])], log: join(directory, 'console.log'), signal, onLine });
    record.note(run, { ...known, state: 'finished', endedAt: new Date().toISOString() });
  } catch (error) {
    // Broken off by Ctrl-C: it stays started, and the next sweep runs it.
    if (signal.aborted) return;
    record.note(run, { ...known, state: 'failed', endedAt: new Date().toISOString(), message: errorMessage(error) });
  }
}

/** The command line of a run, which people can repeat by hand with another `--out`. */
export function simulateArguments({ settings: { maxParallel }, simulation }: SweepRun, settings: string, out: string, threads: number): string[] {
  const { clients, dataset, holdOut, split, device, precision, cache } = simulation;
  return [
    ...['simulate', '--config', settings, '--out', out, '--clients', String(clients), '--hold-out', String(holdOut)],
    ...dataset.flatMap((uri) => ['--dataset', uri]),
    ...(split === undefined ? [] : ['--split', split]),
    ...['--device', device, '--precision', precision, '--cache', cache, '--threads', String(simulation.threads ?? threads)],
    ...(typeof maxParallel === 'number' ? ['--max-parallel', String(maxParallel)] : []),
  ];
}

/** Removes what a run left that was broken off or failed. Its simulation may still be stopping, when the sweep was killed. */
async function clearUnfinished(directory: string, isOurs: boolean, signal: AbortSignal): Promise<void> {
  if (!existsSync(directory)) return;
  if (!isOurs) throw new Zk0Error('OUTPUT_IN_USE', `${directory} is there already, and this sweep has not made it`, { hint: 'Move it away, or choose another folder with --out.' });
  const { ledger } = stateFiles(join(new RunPaths(directory).directory, STATE_FOLDER));
  const until = Date.now() + STOPPING_MS;
  while (existsSync(ledger) && isInUse(ledger)) {
    if (Date.now() > until) throw new Zk0Error('OUTPUT_IN_USE', `a simulation still works in ${directory}`, { hint: 'Wait until it has ended, or end it; then start the sweep again.' });
    await sleep(POLL_MS, undefined, { signal });
  }
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
}

function isInUse(ledger: string): boolean {
  try {
    openSqliteStores(ledger).close();
    return false;
  } catch (error) {
    return error instanceof Zk0Error && error.code === 'LEDGER_IN_USE';
  }
}
