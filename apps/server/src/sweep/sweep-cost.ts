import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { formatBytes, formatDuration, table } from '@zk0/cli';
import { PRESETS } from '@zk0/policy-smolvla/presets';
import { sampleSize } from '@zk0/strategy';
import { labelOf, type SweepRun } from './plan-sweep.ts';
import type { RecordedRun, SweepRecord } from './sweep-record.ts';

/** What a run costs, as far as its settings say it; `null` where a policy's own default decides. */
export interface RunCost {
  /** Optimiser steps of all clients and rounds together. */
  readonly steps: number | null;
  /** Samples trained on; those of evaluations come on top. */
  readonly samples: number | null;
}

/** Counts what a run trains. A run that `stopWhen` finishes early, or that closes rounds without everybody, costs less. */
export function costOf({ config, simulation }: Pick<SweepRun, 'config' | 'simulation'>): RunCost {
  const preset = Object.hasOwn(PRESETS, config.policy) ? PRESETS[config.policy]?.training : undefined;
  const localSteps = config.localSteps ?? preset?.localSteps;
  const batchSize = config.batchSize ?? preset?.batchSize;
  if (localSteps === undefined) return { steps: null, samples: null };
  const asked = Math.min(simulation.clients, Math.ceil(sampleSize(simulation.clients, config.fraction, config.minClients) * (1 + config.overSelection)));
  const steps = config.rounds * asked * localSteps;
  return { steps, samples: batchSize === undefined ? null : steps * batchSize };
}

/** What `--dry-run` prints: every run with where it stands and what it trains, then what is left in all. */
export function costText(runs: readonly SweepRun[], record: SweepRecord, out: string, maxParallel: number): string {
  const rows = runs.map((run) => {
    const { steps, samples } = costOf(run);
    return [labelOf(run.varied), stateOf(record.of(run)), String(run.simulation.clients), String(run.config.rounds), count(steps), count(samples)];
  });
  const columns = [{ header: 'run' }, { header: 'state' }, ...['clients', 'rounds', 'steps', 'samples'].map((header) => ({ header, align: 'right' as const }))];
  return `${table(columns, rows)}\n\n${leftText(runs, record, out, maxParallel)}\n`;
}

/** A run's state in one word or two. */
export function stateOf(run: RecordedRun | undefined): string {
  return run === undefined ? 'to do' : run.state === 'started' ? 'broken off' : run.state;
}

function leftText(runs: readonly SweepRun[], record: SweepRecord, out: string, maxParallel: number): string {
  const left = runs.filter((run) => record.of(run)?.state !== 'finished');
  const steps = left.map((run) => costOf(run).steps);
  const total = steps.reduce<number | null>((sum, one) => (sum === null || one === null ? null : sum + one), 0);
  const words = [`${left.length} of ${runs.length} runs are to be done${total === null ? '' : `, ${total} optimiser steps`}`];
  // Only runs of this sweep say how fast this machine is with this policy and these recordings.
  const done = runs.flatMap((run) => {
    const one = record.of(run);
    const cost = costOf(run);
    if (one?.state !== 'finished' || one.endedAt === undefined || cost.steps === null) return [];
    return [{ seconds: (Date.parse(one.endedAt) - Date.parse(one.startedAt)) / 1000, steps: cost.steps, bytes: bytesOf(join(out, run.name)) }];
  });
  if (left.length === 0) return words.join('');
  if (done.length === 0 || total === null) return `${words.join('')}; how long they take and how much disk they need is known when the first has finished`;
  const sum = (pick: (one: (typeof done)[number]) => number): number => done.reduce((all, one) => all + pick(one), 0);
  const seconds = (total * sum((one) => one.seconds)) / sum((one) => one.steps) / Math.min(maxParallel, left.length);
  const bytes = (left.length * sum((one) => one.bytes)) / done.length;
  return `${words.join('')}: about ${formatDuration(seconds)} and ${formatBytes(bytes)} of disk, as the ${done.length === 1 ? 'run' : `${done.length} runs`} that finished so far`;
}

function bytesOf(directory: string): number {
  try {
    return readdirSync(directory, { recursive: true, withFileTypes: true }).reduce((sum, entry) => sum + (entry.isFile() ? statSync(join(entry.parentPath, entry.name)).size : 0), 0);
  } catch {
    return 0;
  }
}

function count(value: number | null): string {
  return value === null ? 'the policy’s' : String(value);
}
