import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, extname, join, resolve } from 'node:path';
import { createProgress, EXIT_CODE, replaceFile, runningProcess, writeProcessFile, type Progress } from '@zk0/cli';
import { InvalidArgumentError, Zk0Error } from '@zk0/core';
import { parseTracker } from '@zk0/trackers';
import { Command } from 'commander';
import { withTrackOption } from '../config.ts';
import '../demo-datasets.ts';
import { makeWritable, STATE_FOLDER } from '../state-files.ts';
import { labelOf, planSweep, type SweepRun } from '../sweep/plan-sweep.ts';
import { runSweep } from '../sweep/run-sweep.ts';
import { costText } from '../sweep/sweep-cost.ts';
import { readSweepFile } from '../sweep/sweep-file.ts';
import { SweepRecord } from '../sweep/sweep-record.ts';
import { hasFiles, summaryCsv, summaryText, sweepResults } from '../sweep/sweep-summary.ts';
import { versions } from '../versions.ts';
import type { Run } from './run-action.ts';

interface SweepOptions {
  readonly out?: string;
  readonly maxParallel: number;
  readonly track: readonly string[];
  readonly dryRun?: boolean;
  readonly export?: string;
}

/** `zk0-server sweep`: many simulations that differ in their settings, and what they came to. */
export function sweepCommand(run: Run): Command {
  const command = new Command('sweep')
    .description('Run simulations with every combination of settings and seeds that a file names. The same command again goes on where it was.')
    .argument('<file>', 'YAML file: simulation, settings, grid, list, seeds')
    .option('--out <dir>', 'folder of the sweep (default: outputs/<name of the file>)')
    .option('--max-parallel <n>', 'runs at the same time', Number, 1)
    .option('--dry-run', 'print the runs and what they cost; start nothing')
    .option('--export <form>', 'csv: print one line for each run in place of the tables')
    .option('--verbose', 'error codes and stacks with errors');
  return withTrackOption(command).action((file: string, options: SweepOptions) => {
      run((signal) => sweep(file, options, signal));
    });
}

async function sweep(path: string, options: SweepOptions, signal: AbortSignal): Promise<number | undefined> {
  const { maxParallel, track, export: form } = options;
  for (const address of track) parseTracker(address);
  if (!Number.isInteger(maxParallel) || maxParallel < 1 || maxParallel > 1000) {
    throw new InvalidArgumentError('--max-parallel must be a whole number from 1 to 1000', { hint: 'For example --max-parallel 2.' });
  }
  if (form !== undefined && form !== 'csv') throw new InvalidArgumentError(`--export ${JSON.stringify(form)} is not known`, { hint: 'Use --export csv.' });
  const runs = planSweep(await readSweepFile(path));
  const out = resolve(options.out ?? join('outputs', basename(path, extname(path))));
  const record = SweepRecord.open(out, threadsFor(runs, maxParallel));
  if (options.dryRun === true) {
    process.stdout.write(costText(runs, record, out, maxParallel));
    return undefined;
  }
  const progress = createProgress(process.stderr);
  const release = takeFolder(out);
  try {
    sayWhatIsKept(path, runs, record, out, progress);
    const keepSummary = (): void => { replaceFile(join(out, 'summary.csv'), summaryCsv(sweepResults(runs, record, out))); };
    await runSweep(runs, record, { out, maxParallel, track, progress, signal, onEnded: keepSummary });
    keepSummary();
  } finally {
    progress.finish();
    release();
  }
  const results = sweepResults(runs, record, out);
  process.stdout.write(form === 'csv' ? summaryCsv(results) : `\n${summaryText(results)}\noutputs  ${out}\n`);
  if (signal.aborted) {
    process.stderr.write('stopped; the same command goes on with the runs that have not finished\n');
    return EXIT_CODE.interrupted;
  }
  const failed = runs.filter((one) => record.of(one)?.state !== 'finished');
  if (failed.length === 0) return undefined;
  const [first] = failed as [SweepRun, ...SweepRun[]];
  throw new Zk0Error('SWEEP_INCOMPLETE', `${failed.length} of ${runs.length} runs failed, the first is ${labelOf(first.varied)}: ${record.of(first)?.message ?? 'it did not start'}`, {
    hint: `Read ${join(out, first.name, 'console.log')}; the same command tries them again.`,
  });
}

/** Cores shared among all clients that train at the same time. */
function threadsFor(runs: readonly SweepRun[], maxParallel: number): number {
  const clients = Math.max(...runs.map(({ config, simulation }) => config.maxParallel || simulation.clients));
  return Math.max(1, Math.floor(availableParallelism() / (clients * maxParallel)));
}

/** Makes the sweep's folder this process's own until it is released. @throws Zk0Error `SWEEP_RUNNING`, `OUTPUT_UNWRITABLE` */
function takeFolder(out: string): () => void {
  const state = join(out, STATE_FOLDER);
  const other = runningProcess(state);
  if (other !== undefined) throw new Zk0Error('SWEEP_RUNNING', `another sweep (PID ${other.pid}) works in ${out}`, { hint: 'Wait until it has ended, or choose another folder with --out.' });
  makeWritable(out);
  mkdirSync(state, { recursive: true });
  return writeProcessFile(state);
}

/** Says what an earlier start of the sweep has done, and whether the file has changed since. */
function sayWhatIsKept(path: string, runs: readonly SweepRun[], record: SweepRecord, out: string, progress: Progress): void {
  // A run whose files somebody removed is to be done again.
  for (const run of runs) {
    const known = record.of(run);
    if (known?.state !== 'finished' || hasFiles(run, out)) continue;
    progress.print(`${labelOf(run.varied)}: its files are gone, it is run again`);
    record.note(run, { ...known, state: 'started' });
  }
  const finished = runs.filter((run) => record.of(run)?.state === 'finished');
  progress.print(`${runs.length} ${runs.length === 1 ? 'run' : 'runs'}${record.isOld ? `, ${finished.length} of them finished before` : ''}; outputs: ${out}`);
  if (!record.isOld) return;
  const [news, gone] = [runs.filter((run) => record.of(run) === undefined), record.beyond(runs)];
  if (gone.length > 0) {
    progress.print(`${path} has changed: ${news.length} of its runs are new, ${gone.length} of an earlier form are no longer in it; their folders stay, and the summary leaves them out`);
  } else if (news.length > 0) {
    progress.print(`${path} has ${news.length} runs that were not started before`);
  }
  const { zk0 } = versions();
  const others = new Set(finished.flatMap((run) => { const { version } = record.of(run)!; return version === zk0 ? [] : [version]; }));
  if (others.size > 0) progress.print(`runs that finished before are of zk0 ${[...others].join(', ')}, this is ${zk0}: they may not be comparable`);
}
