import { createHash } from 'node:crypto';
import { describeIssue, errorMessage, InvalidArgumentError } from '@zk0/core';
import { ConfigError } from '@zk0/cli';
import type * as z from 'zod';
import { checkedSimulation, simulationSchema } from '../simulate/settings.ts';
import { parseSplit } from '../simulate/plan.ts';
import { simulationFlagsSchema, type SimulationFlags, type SweepFile } from './sweep-file.ts';

/** JSON as a sweep file has it. */
type Values = Readonly<Record<string, unknown>>;

/** One run of a sweep. */
export interface SweepRun {
  /** Its folder below the sweep's, from what varies and a hash of everything that the file says of it. */
  readonly name: string;
  /** What makes it this run: the key of everything that is kept of it. Hex SHA-256. */
  readonly id: string;
  /** The keys that vary, with this run's values, the seed last. */
  readonly varied: Values;
  /** Settings as `zk0-server simulate --config` takes them. */
  readonly settings: Values;
  readonly simulation: SimulationFlags;
  /** The settings with every default that does not depend on policy or strategy. */
  readonly config: ReturnType<typeof checkedSimulation>;
}

/** Longest readable part of a folder's name. */
const MAX_SLUG = 80;

/**
 * The runs that a sweep file describes, in its order: for each entry of the list each combination of the grid, the last key fastest, each
 * with every seed. All of them are checked, before the first is started.
 *
 * @throws ConfigError, InvalidArgumentError naming the run, and what does not fit
 */
export function planSweep(file: SweepFile): SweepRun[] {
  const seeds = file.seeds?.map((seed) => ({ seed })) ?? [{}];
  const combinations = Object.entries(file.grid).reduce<Values[]>((rows, [key, values]) => rows.flatMap((row) => values.map((value) => ({ ...row, [key]: value }))), [{}]);
  const runs = (file.list ?? [{}]).flatMap((entry) => combinations.flatMap((combination) => seeds.map((seed) => plannedRun(file, { ...entry, ...combination, ...seed }))));
  const names = new Set<string>();
  for (const { id, varied } of runs) {
    if (names.has(id)) throw new InvalidArgumentError(`the sweep has the run ${labelOf(varied)} twice`, { hint: 'Remove the repeated value, entry or seed.' });
    names.add(id);
  }
  return runs;
}

/** What varies in a run, as one line: `strategy.name=fedavg seed=1`. */
export function labelOf(varied: Values): string {
  const parts = Object.entries(varied).map(([key, value]) => `${key}=${textOf(value)}`);
  return parts.length === 0 ? 'run' : parts.join(' ');
}

/** A value as a table shows it. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function plannedRun(file: SweepFile, varied: Values): SweepRun {
  const settings = structuredClone(file.settings) as Record<string, unknown>;
  const flags = structuredClone(file.simulation) as Record<string, unknown>;
  for (const [key, value] of Object.entries(varied)) {
    const [target, path] = key.startsWith('simulation.') ? [flags, key.slice('simulation.'.length)] : [settings, key];
    assign(target, path.split('.'), value);
  }
  const where = labelOf(varied);
  const simulation = parsed(simulationFlagsSchema, flags, where);
  const resolved = parsed(simulationSchema, settings, where);
  try {
    if (simulation.split !== undefined) parseSplit(simulation.split, resolved.seed);
    const config = checkedSimulation(simulation.clients, resolved);
    const id = createHash('sha256').update(JSON.stringify(sorted({ settings, simulation: flags }))).digest('hex');
    const slug = labelOf(varied).replace(/[^A-Za-z0-9._=-]+/g, '_').replace(/^[._]+|_+$/g, '').slice(0, MAX_SLUG);
    return { name: `${slug}-${id.slice(0, 8)}`, id, varied, settings, simulation, config };
  } catch (error) {
    throw new InvalidArgumentError(`${where}: ${errorMessage(error)}`, { cause: error, hint: (error as { hint?: string }).hint ?? 'Change it in the sweep file.' });
  }
}

function parsed<S extends z.ZodType>(schema: S, value: unknown, where: string): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues as [z.core.$ZodIssue];
  throw new ConfigError('CONFIG_INVALID', `${where}: ${issue.path.map(String).join('.')} ${describeIssue(issue)}`);
}

function assign(target: Record<string, unknown>, [head, ...rest]: readonly string[], value: unknown): void {
  if (head === undefined) return;
  if (rest.length === 0) {
    target[head] = structuredClone(value);
    return;
  }
  const inner = target[head];
  const next = typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? (inner as Record<string, unknown>) : {};
  target[head] = next;
  assign(next, rest, value);
}

/** The same JSON whatever order its keys were written in. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, sorted(inner)]));
}
