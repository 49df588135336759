import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { formatDuration, table } from '@zk0/cli';
import { InvalidArgumentError } from '@zk0/core';
import { Command } from 'commander';
import { csvOf, groupRuns, readRun, type ComparedGroup, type ComparedRun } from '../compare/compare-runs.ts';
import type { Run } from './run-action.ts';

interface CompareOptions {
  readonly out: string;
  readonly export?: string;
  readonly json?: boolean;
}

/** `zk0-server compare`: what runs came to, repetitions with other seeds together. */
export function compareCommand(run: Run): Command {
  return new Command('compare')
    .description('Compare runs by what they left: losses, rounds, time. Runs that differ in their seed alone are repetitions, with a 95 % interval.')
    .argument('<runs...>', 'folders of runs, or their ids below --out')
    .option('--out <dir>', 'outputs folder of the server', 'outputs')
    .option('--export <form>', 'csv: one line for each run')
    .option('--json', 'for scripts')
    .action((names: readonly string[], options: CompareOptions) => {
      run(() => {
        process.stdout.write(compareText(names, options));
        return Promise.resolve(undefined);
      });
    });
}

/** What the command prints. @throws InvalidArgumentError, Zk0Error `RUN_FILES_UNREADABLE` */
export function compareText(names: readonly string[], { out, export: form, json }: CompareOptions): string {
  if (form !== undefined && form !== 'csv') throw new InvalidArgumentError(`--export ${JSON.stringify(form)} is not known`, { hint: 'Use --export csv.' });
  const runs = names.map((name) => readRun(existsSync(name) ? name : join(out, name)));
  if (form === 'csv') return csvOf(runs);
  const groups = groupRuns(runs);
  if (json === true) return `${JSON.stringify(groups, null, 2)}\n`;
  const left = ['run', 'strategy'].map((header) => ({ header }));
  const right = ['seed', 'rounds', 'initial', 'final', 'best', 'client loss', 'time'].map((header) => ({ header, align: 'right' as const }));
  const perRun = table([...left, ...right], groups.flatMap((group) => group.runs.map(row)));
  const repeated = groups.filter((group) => group.runs.length > 1);
  return `${[perRun, ...(repeated.length === 0 ? [] : [repeated.map(groupLine).join('\n')])].join('\n\n')}\n`;
}

function row({ run, strategy, seed, rounds, initial, final, best, bestRound, clientLoss, seconds }: ComparedRun): string[] {
  const lowest = best === null ? '–' : `${best.toFixed(4)} (round ${bestRound ?? '?'})`;
  return [run, strategy, String(seed), String(rounds), loss(initial), loss(final), lowest, loss(clientLoss), seconds === null ? '–' : formatDuration(seconds)];
}

function groupLine({ runs, final }: ComparedGroup): string {
  const [first] = runs;
  const value = final === null ? 'not evaluated' : `${final.mean.toFixed(4)}${final.half === null ? '' : ` ± ${final.half.toFixed(4)}`}`;
  return `${first?.strategy ?? ''}, ${runs.length} seeds (${runs.map(({ seed }) => seed).join(', ')}): final held-out loss ${value} (95 % interval)`;
}

function loss(value: number | null): string {
  return value === null ? '–' : value.toFixed(4);
}
