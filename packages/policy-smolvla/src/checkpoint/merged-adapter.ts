import { createHash } from 'node:crypto';
import { copyFile, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Parameters } from '@zk0/core';
import { hashFile, readParameters, writeDirectoryAtomic } from '@zk0/storage';
import { trainedWeightSpecs } from '../model/weights.ts';
import { ADAPTER_CONFIG_FILE, ADAPTER_WEIGHTS_FILE, mergeAdapter, type AdapterConfig } from './adapter.ts';
import { openCheckpoint, type Checkpoint, type CheckpointAccess } from './checkpoint.ts';
import { exists } from './json-file.ts';
import { writeTrained } from './save-checkpoint.ts';
import { TRAINED_FILE } from './weights.ts';

/** What an adapter's directory may say itself, beside its weights. */
const OWN_FILES = /^(?:config\.json|policy_\w+\.(?:json|safetensors))$/;

/**
 * A directory with an adapter's weights folded into the trained ones of its base, in the form of trained weights alone. It is made below
 * `cacheDirectory` when it is not there yet, and named by everything that it depends on.
 *
 * @throws PolicyError as {@link mergeAdapter} and {@link openCheckpoint}; StorageError
 */
export async function mergedAdapter(
  directory: string,
  config: AdapterConfig,
  baseDirectory: string,
  cacheDirectory: string,
  access: CheckpointAccess,
): Promise<string> {
  const base = await openCheckpoint(baseDirectory, undefined, { ...access, lora: undefined });
  try {
    const before = await trainedParameters(base);
    const after = new Map([...before, ...(await mergeAdapter(directory, config, before))]);
    const own = (await readdir(directory)).filter((file) => OWN_FILES.test(file)).sort();
    const target = join(cacheDirectory, 'adapters', await identity(directory, own, base.baseHash, before));
    if (await exists(target)) return target;
    await writeDirectoryAtomic(target, async (temporary) => {
      const fromBase = (await readdir(baseDirectory)).filter((file) => OWN_FILES.test(file));
      const processors = own.some((file) => file.startsWith('policy_'));
      for (const file of fromBase.filter((name) => name === 'config.json' || !processors)) await copyFile(join(baseDirectory, file), join(temporary, file));
      for (const file of own) await copyFile(join(directory, file), join(temporary, file));
      await writeTrained(base, join(temporary, TRAINED_FILE), after, undefined);
    });
    return target;
  } finally {
    await base.weights.close();
  }
}

/** The weights of a checkpoint that may be trained, float32. */
export async function trainedParameters({ config, weights }: Pick<Checkpoint, 'config' | 'weights'>): Promise<Parameters> {
  const trained = new Set(trainedWeightSpecs(config.model).map(({ name }) => name));
  return readParameters({
    specs: weights.specs.filter(({ name }) => trained.has(name)),
    readBytes: (name, offset, into) => weights.readBytes(name, offset, into),
  });
}

async function identity(directory: string, own: readonly string[], baseHash: string, before: Parameters): Promise<string> {
  const hash = createHash('sha256').update(baseHash);
  for (const file of [ADAPTER_CONFIG_FILE, ...own]) hash.update(`\0${file}\0`).update(await readFile(join(directory, file)));
  hash.update((await hashFile(join(directory, ADAPTER_WEIGHTS_FILE))).hash);
  for (const [name, { data }] of before) hash.update(`\0${name}\0`).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return hash.digest('hex').slice(0, 32);
}
