import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { formatDuration, table } from '@zk0/cli';
import { csvLines, readRun, type ComparedRun } from '../compare/compare-runs.ts';
import { interval } from '../compare/interval.ts';
import { RunPaths } from '../outputs/index.ts';
import { labelOf, textOf, type SweepRun } from './plan-sweep.ts';
import { stateOf } from './sweep-cost.ts';
import type { SweepRecord } from './sweep-record.ts';

/** A run of a sweep with what it came to; without figures where it has not finished. */
export interface SweepResult {
  readonly run: SweepRun;
  readonly state: string;
  readonly result: ComparedRun | null;
}

/** Gathers what the runs of a sweep came to. @throws Zk0Error `RUN_FILES_UNREADABLE` for a finished run whose files are gone or damaged */
export function sweepResults(runs: readonly SweepRun[], record: SweepRecord, out: string): SweepResult[] {
  return runs.map((run) => {
    const directory = join(out, run.name);
    const isFinished = record.of(run)?.state === 'finished';
    return { run, state: stateOf(record.of(run)), result: isFinished ? readRun(directory) : null };
  });
}

/** Whether the files of a finished run are still there. */
export function hasFiles({ name }: Pick<SweepRun, 'name'>, out: string): boolean {
  const paths = new RunPaths(join(out, name));
  return existsSync(paths.config) && existsSync(paths.federatedMetrics);
}

/** One line for each run in the file's order, then what settings came to over their seeds, the lowest final loss first. */
export function summaryText(results: readonly SweepResult[]): string {
  const keys = variedKeys(results);
  const columns = [...keys.map((header) => ({ header })), { header: 'state' }, ...['initial', 'final', 'best', 'client loss', 'time'].map((header) => ({ header, align: 'right' as const }))];
  const rows = results.map(({ run, state, result }) => [
    ...keys.map((key) => (Object.hasOwn(run.varied, key) ? textOf(run.varied[key]) : '')),
    state,
    loss(result?.initial),
    loss(result?.final),
    loss(result?.best),
    loss(result?.clientLoss),
    result?.seconds == null ? '–' : formatDuration(result.seconds),
  ]);
  return `${[table(columns, rows), overSeeds(results)].filter((text) => text !== '').join('\n\n')}\n`;
}

/** The same as a table for programs: one column for each key that varies, then what `zk0-server compare --export csv` has. */
export function summaryCsv(results: readonly SweepResult[]): string {
  const keys = variedKeys(results);
  const columns = ['run', 'rounds', 'initial', 'final', 'best', 'bestRound', 'clientLoss', 'seconds'] as const;
  const rows = results.map(({ run, state, result }) => [
    run.name,
    state,
    ...keys.map((key) => (Object.hasOwn(run.varied, key) ? textOf(run.varied[key]) : null)),
    ...columns.map((column) => result?.[column] ?? null),
  ]);
  return csvLines([['folder', 'state', ...keys, ...columns], ...rows]);
}

/** Runs that differ in their seed alone are repetitions of one experiment. */
function overSeeds(results: readonly SweepResult[]): string {
  const groups = new Map<string, { readonly label: string; readonly finals: number[] }>();
  for (const { run, result } of results) {
    if (result?.final == null || !Object.hasOwn(run.varied, 'seed')) continue;
    const others = Object.fromEntries(Object.entries(run.varied).filter(([key]) => key !== 'seed'));
    const key = JSON.stringify(others);
    const group = groups.get(key) ?? { label: Object.keys(others).length === 0 ? 'all runs' : labelOf(others), finals: [] };
    group.finals.push(result.final);
    groups.set(key, group);
  }
  return [...groups.values()]
    .flatMap(({ label, finals }) => {
      const over = interval(finals);
      return over === null || over.half === null ? [] : [{ label, seeds: finals.length, mean: over.mean, half: over.half }];
    })
    .sort((a, b) => a.mean - b.mean)
    .map(({ label, seeds, mean, half }) => `${label}: final held-out loss ${mean.toFixed(4)} ± ${half.toFixed(4)} (95 % interval, ${seeds} seeds)`)
    .join('\n');
}

function variedKeys(results: readonly SweepResult[]): string[] {
  const keys = [...new Set(results.flatMap(({ run }) => Object.keys(run.varied)))];
  return [...keys.filter((key) => key !== 'seed'), ...keys.filter((key) => key === 'seed')];
}

function loss(value: number | null | undefined): string {
  return value == null ? '–' : value.toFixed(4);
}
