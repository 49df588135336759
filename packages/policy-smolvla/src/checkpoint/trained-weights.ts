import { join } from 'node:path';
import { openSafetensors, type SafetensorsFile } from '@zk0/storage';
import { PolicyError } from '../errors.ts';
import { exists } from './json-file.ts';
import { TRAINED_FILE, WEIGHTS_FILE } from './weights.ts';

/** Metadata of {@link TRAINED_FILE}: the hash of the frozen weights it belongs to. */
export const BASE_HASH_KEY = 'zk0_base_hash';
/** Metadata of {@link TRAINED_FILE}: a preset or hub address where the frozen weights are, if they are at one. */
export const BASE_SOURCE_KEY = 'zk0_base';

/** Whether a policy directory holds trained weights without the frozen ones, as `form: 'trained'` saves them. */
export async function holdsTrainedOnly(directory: string): Promise<boolean> {
  return (await exists(join(directory, TRAINED_FILE))) && !(await exists(join(directory, WEIGHTS_FILE)));
}

/**
 * Where the frozen weights are that a directory of trained weights belongs to.
 *
 * @throws PolicyError POLICY_WEIGHTS_MISSING when the directory does not say; SafetensorsError, StorageError.
 */
export async function baseSourceOf(directory: string): Promise<string> {
  const file = await openTrained(directory);
  await file.close();
  const source = file.metadata[BASE_SOURCE_KEY];
  if (source !== undefined) return source;
  throw new PolicyError('POLICY_WEIGHTS_MISSING', `${directory} holds trained weights only, and does not say where its base is`, {
    hint: 'Name the policy it was trained from with --base.',
  });
}

/** @throws SafetensorsError, StorageError */
export async function openTrained(directory: string): Promise<SafetensorsFile> {
  return openSafetensors(join(directory, TRAINED_FILE));
}

/** @throws PolicyError POLICY_BASE_MISMATCH */
export function checkBase(trained: SafetensorsFile, baseHash: string): void {
  const wanted = trained.metadata[BASE_HASH_KEY];
  if (wanted !== baseHash) throw baseMismatch(trained.path, wanted, baseHash);
}

/** Weights at `path` that belong to another base than the one at hand. */
export function baseMismatch(path: string, wanted: string | undefined, found: string): PolicyError {
  return new PolicyError('POLICY_BASE_MISMATCH', `${path} belongs to base ${wanted ?? '(none named)'}, not ${found}`, {
    hint: 'Name the policy that these weights were trained from.',
  });
}
