import { join } from 'node:path';
import { compareNames, type Normalizer, type TensorSource } from '@zk0/core';
import { openSafetensors } from '@zk0/storage';
import * as z from 'zod';
import type { SmolVlaConfig } from '../config/policy-config.ts';
import { PolicyError } from '../errors.ts';
import { isStatistic } from './check-tensors.ts';
import { exists, readPolicyJson } from './json-file.ts';
import { nameOfProcessor, nameOfRelease03, type StatisticName } from './statistic-names.ts';
import { readVector } from './vector.ts';

export const PREPROCESSOR_FILE = 'policy_preprocessor.json';

const processorSchema = z.looseObject({
  steps: z
    .array(
      z.looseObject({
        registry_name: z.string().optional(),
        config: z.looseObject({ rename_map: z.record(z.string().max(200), z.string().max(200)).nullish() }).nullish(),
        state_file: z
          .string()
          .regex(/^[^/\\]+\.safetensors$/)
          .optional(),
      }),
    )
    .max(100),
});

/** What a checkpoint's processors hold. */
export interface ProcessorContent {
  /** `undefined` when there are none, as in a base model, or when {@link problem} says why none is taken. */
  readonly normalizer: Normalizer | undefined;
  /** Statistics that are there and are not understood: taking others in their place would change what the policy does. */
  readonly problem: PolicyError | undefined;
  /** Name of an observation as recorded → name that the policy takes, as its own processor renames. */
  readonly renameMap: Readonly<Record<string, string>>;
}

/**
 * Reads the normalisation statistics of a checkpoint, in the processor files (LeRobot 0.4 and later), else among the weights
 * (before), and the processor's map of names.
 *
 * @param choice of the statistics of several data sets, the one to take
 */
export async function readProcessors(
  directory: string,
  config: SmolVlaConfig,
  weights: TensorSource,
  choice: string | undefined,
): Promise<ProcessorContent> {
  const path = join(directory, PREPROCESSOR_FILE);
  if (!(await exists(path))) {
    const found = weights.specs.flatMap(({ name }) => (isStatistic(name) ? [name] : []));
    return { ...(await read(weights, found, nameOfRelease03, { config, choice, place: directory })), renameMap: {} };
  }
  const { steps } = await readPolicyJson(path, processorSchema, 'POLICY_CONFIG_INVALID');
  const renameMap = steps.find(({ registry_name }) => registry_name === 'rename_observations_processor')?.config?.rename_map ?? {};
  const file = steps.find(({ registry_name }) => registry_name === 'normalizer_processor')?.state_file;
  if (file === undefined) return { normalizer: undefined, problem: undefined, renameMap };
  const source = await openSafetensors(join(directory, file));
  try {
    const names = source.specs.map(({ name }) => name);
    return { ...(await read(source, names, nameOfProcessor, { config, choice, place: source.path })), renameMap };
  } finally {
    await source.close();
  }
}

interface Wanted {
  readonly config: SmolVlaConfig;
  readonly choice: string | undefined;
  /** Where the statistics are, for messages. */
  readonly place: string;
}

async function read(
  source: TensorSource,
  names: readonly string[],
  nameOf: (name: string) => StatisticName | null,
  { config, choice, place }: Wanted,
): Promise<Pick<ProcessorContent, 'normalizer' | 'problem'>> {
  const none = { normalizer: undefined, problem: undefined };
  const kinds = (['state', 'action'] as const).filter((kind) => config.normalization[kind] !== 'IDENTITY');
  if (kinds.length === 0) return { normalizer: { state: { mean: [], std: [] }, action: { mean: [], std: [] } }, problem: undefined };
  if (names.length === 0) return none;
  const understood = names.flatMap((stored) => {
    const name = nameOf(stored);
    return name === null ? [] : [{ ...name, stored }];
  });
  const stored = (set: string, kind: string, statistic: string): string | undefined =>
    understood.find((name) => name.set === set && name.kind === kind && name.statistic === statistic)?.stored;
  const isWhole = (set: string): boolean => kinds.every((kind) => stored(set, kind, 'mean') !== undefined && stored(set, kind, 'std') !== undefined);
  const sets = [...new Set(understood.map(({ set }) => set))].filter(isWhole).sort(compareNames);
  const plain = sets.includes('') && choice === undefined ? '' : undefined;
  const set = plain ?? (choice === undefined ? (sets.length === 1 ? sets[0] : undefined) : sets.find((one) => one === choice));
  if (set === undefined) return { normalizer: undefined, problem: notUnderstood(place, names, sets, choice) };
  const spread = async (kind: 'state' | 'action'): Promise<Normalizer['state']> => {
    if (!kinds.includes(kind)) return { mean: [], std: [] };
    return { mean: await readVector(source, stored(set, kind, 'mean')!), std: await readVector(source, stored(set, kind, 'std')!) };
  };
  const normalizer = { state: await spread('state'), action: await spread('action') };
  // A policy saved before it saw a dataset has infinite statistics.
  const isFinite = Object.values(normalizer).every(({ mean, std }) => mean.concat(std).every(Number.isFinite));
  return isFinite ? { normalizer, problem: undefined } : none;
}

/** Names that a message lists. */
const MAX_LISTED = 12;

function notUnderstood(place: string, names: readonly string[], sets: readonly string[], choice: string | undefined): PolicyError {
  if (sets.length > 0) {
    const listed = sets.map((set) => set || '(no name)').join(', ');
    const what = choice === undefined ? `holds the normalisation statistics of ${sets.length} data sets` : `has no normalisation statistics of "${choice}"`;
    return new PolicyError('STATISTICS_AMBIGUOUS', `${place} ${what}: ${listed}`, {
      hint: 'Say whose values the policy is to be given: open it with `statistics` set to one of these names.',
    });
  }
  const more = names.length > MAX_LISTED ? ` and ${names.length - MAX_LISTED} more` : '';
  return new PolicyError(
    'STATISTICS_AMBIGUOUS',
    `${place} holds normalisation statistics under names that are not understood: ${names.slice(0, MAX_LISTED).join(', ')}${more}`,
    { hint: 'Rename them to observation.state.mean, observation.state.std, action.mean and action.std, or remove the file where others are to be used.' },
  );
}
