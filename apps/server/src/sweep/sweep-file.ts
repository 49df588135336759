import { isKnownPath, dottedPaths, loadConfig, suggestion } from '@zk0/cli';
import * as z from 'zod';
import { DEFAULT_CLIENTS, DEFAULT_HOLD_OUT_EPISODES, MAX_CLIENTS, simulationSchema } from '../simulate/settings.ts';

/** More runs than this are a slip of the pen. */
export const MAX_RUNS = 10_000;

/** A run's settings as people write them: what is left out stays out, so that a later release's defaults do not make a run another one. */
const settingsSchema = z.strictObject(
  Object.fromEntries(Object.entries(simulationSchema.omit({ server: true }).shape).map(([key, schema]) => [key, withoutDefault(schema).optional()])),
);

/** The flags of `zk0-server simulate` that are no settings of a run. */
export const simulationFlagsSchema = z.strictObject({
  clients: z.int().min(1).max(MAX_CLIENTS).default(DEFAULT_CLIENTS),
  /** One to split, or one for each client; demo data when empty. */
  dataset: z.union([z.string().min(1).transform((uri) => [uri]), z.array(z.string().min(1)).max(MAX_CLIENTS)]).default([]),
  holdOut: z.int().min(0).default(DEFAULT_HOLD_OUT_EPISODES),
  split: z.string().min(1).optional(),
  device: z.string().min(1).default('cpu'),
  precision: z.enum(['auto', 'float32', 'float16', 'bfloat16']).default('auto'),
  threads: z.int().min(1).max(1024).optional(),
  cache: z.enum(['auto', 'prefix', 'vision', 'off']).default('auto'),
});
export type SimulationFlags = z.output<typeof simulationFlagsSchema>;

const SIMULATION = 'simulation.';
const variable = [...dottedPaths(settingsSchema), ...dottedPaths(simulationFlagsSchema, SIMULATION)];

/** Whether grid and list may set `key`: a setting by its dotted path, or `simulation.` and a flag of `simulate`. */
function isVariable(key: string): boolean {
  return key.startsWith(SIMULATION) ? isKnownPath(simulationFlagsSchema, key.slice(SIMULATION.length).split('.')) : isKnownPath(settingsSchema, key.split('.'));
}

/** Names the nearest key that exists for one that does not. */
function checkKeys(keys: readonly string[], path: readonly PropertyKey[], context: z.RefinementCtx): void {
  for (const key of keys.filter((one) => !isVariable(one))) {
    context.addIssue({ code: 'custom', path: [...path, key], message: 'is not a setting', params: { hint: suggestion(key, variable) } });
  }
}

/** The form of a sweep file. */
export const sweepSchema = z
  .strictObject({
    simulation: simulationFlagsSchema.partial().prefault({}),
    settings: settingsSchema.prefault({}),
    grid: z.record(z.string(), z.array(z.json()).min(1)).prefault({}),
    list: z.array(z.record(z.string(), z.json())).min(1).optional(),
    seeds: z.array(z.int().min(0)).min(1).optional(),
  })
  .superRefine(({ grid, list = [], seeds }, context) => {
    checkKeys(Object.keys(grid), ['grid'], context);
    for (const [index, entry] of list.entries()) {
      checkKeys(Object.keys(entry), ['list', index], context);
      const both = Object.keys(entry).find((key) => Object.hasOwn(grid, key));
      if (both !== undefined) context.addIssue({ code: 'custom', path: ['grid', both], message: 'stands in the list, too', params: { hint: 'Write each key in one of them' } });
    }
    if (seeds !== undefined && [grid, ...list].some((entry) => Object.hasOwn(entry, 'seed'))) {
      context.addIssue({ code: 'custom', path: ['seeds'], message: 'and a varied seed exclude each other', params: { hint: 'Leave seeds, or the key seed, out' } });
    }
    const runs = Object.values(grid).reduce((product, values) => product * values.length, Math.max(1, list.length) * (seeds?.length ?? 1));
    if (runs > MAX_RUNS) context.addIssue({ code: 'custom', path: ['grid'], message: `makes ${runs} runs, at most ${MAX_RUNS} are possible`, params: { hint: 'Vary fewer keys at a time' } });
  });
export type SweepFile = z.output<typeof sweepSchema>;

/** Reads a sweep file. @throws ConfigError naming file, line and key, and the nearest known one */
export function readSweepFile(path: string): Promise<SweepFile> {
  return loadConfig(sweepSchema, { file: path });
}

function withoutDefault(schema: z.core.$ZodType): z.ZodType {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional) return withoutDefault(schema.unwrap());
  return schema as z.ZodType;
}
