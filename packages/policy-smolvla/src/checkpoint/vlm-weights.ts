import { join } from 'node:path';
import type { SmolVlaModelConfig } from '../model/config.ts';
import { VLM_PREFIX, weightSpecs } from '../model/weights.ts';
import { fetchVlm, type HubAccess } from './hub-files.ts';
import { exists } from './json-file.ts';
import { INDEX_FILE, openWeightFiles, shardsOf, WEIGHTS_FILE, type CheckpointWeights } from './weights.ts';

/**
 * Completes a checkpoint with weights of the vision-language model it names, as LeRobot's `load_vlm_weights` does: tensors
 * that the checkpoint has stay its own, layers that the policy leaves away are not taken.
 *
 * @param directory - where the model's tokenizer is; its weights may lie beside it
 * @param name - `vlm_model_name`; a repository of the hub where they do not
 * @throws PolicyError, HubError, SafetensorsError, StorageError
 */
export async function completeFromVlm(
  weights: CheckpointWeights,
  model: SmolVlaModelConfig,
  directory: string,
  name: string,
  access: HubAccess,
): Promise<CheckpointWeights> {
  const ofVlm = new Set(weightSpecs(model).flatMap((spec) => (spec.used && spec.name.startsWith(VLM_PREFIX) ? [spec.name] : [])));
  if ([...ofVlm].every((wanted) => weights.has(wanted))) return weights;
  const folder = (await holdsWeights(directory)) ? directory : await fetchWeights(name, access);
  if (folder === null) return weights;
  return weights.over({
    files: await openWeightFiles(folder),
    rename: (stored) => (ofVlm.has(VLM_PREFIX + stored) ? VLM_PREFIX + stored : undefined),
  });
}

async function holdsWeights(directory: string): Promise<boolean> {
  return (await exists(join(directory, WEIGHTS_FILE))) || (await exists(join(directory, INDEX_FILE)));
}

/** The folder with the weights of a repository, or null when it has none. */
async function fetchWeights(name: string, access: HubAccess): Promise<string | null> {
  const fetched = await fetchVlm(name, [WEIGHTS_FILE, INDEX_FILE], access);
  if (fetched === null || !(await holdsWeights(fetched.directory))) return null;
  const index = join(fetched.directory, INDEX_FILE);
  if (!(await exists(join(fetched.directory, WEIGHTS_FILE)))) await fetchVlm(name, await shardsOf(index), access);
  return fetched.directory;
}
