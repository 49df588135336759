import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { errorMessage, Zk0Error } from '@zk0/core';
import * as z from 'zod';
import { RunPaths } from '../outputs/paths.ts';
import { interval, type Interval } from './interval.ts';

/** What is compared of a run, from the files that it leaves. */
export interface ComparedRun {
  readonly run: string;
  readonly strategy: string;
  readonly seed: number;
  /** Everything of its configuration but the seed: runs that agree in it are repetitions. */
  readonly settings: string;
  readonly rounds: number;
  /** Held-out losses: of the initial model, of the newest evaluated round, and the lowest; `null` where nothing was evaluated. */
  readonly initial: number | null;
  readonly final: number | null;
  readonly best: number | null;
  readonly bestRound: number | null;
  /** Mean client loss of the newest round that has one. */
  readonly clientLoss: number | null;
  /** Seconds from the start of the first round to the end of the last. */
  readonly seconds: number | null;
}

/** Repetitions of one experiment with other seeds. */
export interface ComparedGroup {
  readonly runs: readonly ComparedRun[];
  /** Mean and half of the 95 % interval (Student's t) of the final held-out loss; the interval is `null` for one seed. */
  readonly final: Interval | null;
}

const configSchema = z.looseObject({
  run_id: z.string(),
  config: z.looseObject({ seed: z.number(), strategy: z.looseObject({ name: z.string() }) }),
  simulation: z.looseObject({ clients: z.array(z.unknown()) }).optional(),
});
const roundSchema = z.looseObject({
  round: z.int(),
  server_policy_loss: z.number().nullish(),
  avg_client_loss: z.number().nullish(),
  started_at: z.iso.datetime().optional(),
  ended_at: z.iso.datetime().optional(),
});
const metricsSchema = z.object({ rounds: z.array(roundSchema) });

/** Reads a run's folder. @throws Zk0Error `RUN_FILES_UNREADABLE` */
export function readRun(directory: string): ComparedRun {
  const paths = new RunPaths(directory);
  const { run_id: run, config, simulation } = read(paths.config, configSchema);
  const { rounds } = read(paths.federatedMetrics, metricsSchema);
  const evaluated = rounds.flatMap(({ round, server_policy_loss: loss }) => (loss == null ? [] : [{ round, loss }]));
  const trained = evaluated.filter(({ round }) => round > 0);
  const best = trained.reduce<(typeof trained)[number] | undefined>((least, one) => (least === undefined || one.loss < least.loss ? one : least), undefined);
  const { seed, strategy, ...others } = config;
  const [first, last] = [rounds.find(({ round }) => round > 0), rounds.at(-1)];
  const seconds = first?.started_at === undefined || last?.ended_at === undefined ? null : (Date.parse(last.ended_at) - Date.parse(first.started_at)) / 1000;
  return {
    run: run === '' ? basename(directory) : run,
    strategy: strategy.name,
    seed,
    settings: JSON.stringify({ ...withoutSeeds(others), strategy, clients: simulation?.clients.length }),
    rounds: Math.max(0, ...rounds.map(({ round }) => round)),
    initial: evaluated.find(({ round }) => round === 0)?.loss ?? null,
    final: trained.at(-1)?.loss ?? null,
    best: best?.loss ?? null,
    bestRound: best?.round ?? null,
    clientLoss: rounds.findLast(({ avg_client_loss: loss }) => loss != null)?.avg_client_loss ?? null,
    seconds,
  };
}

/** Gathers repetitions, the groups with the lowest mean final loss first. */
export function groupRuns(runs: readonly ComparedRun[]): ComparedGroup[] {
  const groups = new Map<string, ComparedRun[]>();
  for (const run of runs) groups.set(run.settings, [...(groups.get(run.settings) ?? []), run]);
  return [...groups.values()]
    .map((members): ComparedGroup => ({ runs: members, final: interval(members.flatMap(({ final }) => final ?? [])) }))
    .sort((a, b) => (a.final?.mean ?? Infinity) - (b.final?.mean ?? Infinity));
}

/** One line for each run, with a header, as RFC 4180 has it. */
export function csvOf(runs: readonly ComparedRun[]): string {
  const columns = ['run', 'strategy', 'seed', 'rounds', 'initial', 'final', 'best', 'bestRound', 'clientLoss', 'seconds'] as const;
  return csvLines([columns, ...runs.map((run) => columns.map((column) => run[column]))]);
}

/** Rows as RFC 4180 has them; `null` is an empty cell. */
export function csvLines(rows: readonly (readonly (string | number | null)[])[]): string {
  const cell = (value: string | number | null): string => (typeof value === 'string' && /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : String(value ?? ''));
  return rows.map((row) => `${row.map(cell).join(',')}\r\n`).join('');
}

/** Demo recordings are named with the run's seed. */
function withoutSeeds(settings: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return JSON.parse(JSON.stringify(settings).replace(/([?&]seed=)\d+/g, '$1*')) as Readonly<Record<string, unknown>>;
}

function read<T>(path: string, schema: z.ZodType<T>): T {
  try {
    return schema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    const why = error instanceof z.ZodError ? 'it has not the form that zk0 writes' : errorMessage(error);
    throw new Zk0Error('RUN_FILES_UNREADABLE', `${path} cannot be used: ${why}`, { hint: 'Name folders that runs left, such as outputs/RUN.' });
  }
}
