import { stat } from 'node:fs/promises';
import { isAbsolute, join, resolve } from 'node:path';
import type { Normalizer } from '@zk0/core';
import { policyConfigSchema, type PolicyConfigJson, type SmolVlaConfig } from '../config/policy-config.ts';
import { resolveConfig } from '../config/resolve-config.ts';
import { KNOWN_VLMS, vlmConfigSchema, type VlmConfig } from '../config/vlm-config.ts';
import { PolicyError } from '../errors.ts';
import { checkModelConfig, type LoraSettings } from '../model/config.ts';
import { loadTaskTokenizer, TOKENIZER_FILES, type TaskTokenizer } from '../tokenizer/tokenizer.ts';
import { holdsAdapter } from './adapter.ts';
import { refusePointers } from './pointers.ts';
import { computeBaseHash } from './base-hash.ts';
import { checkTensors } from './check-tensors.ts';
import { fetchVlm, type HubAccess } from './hub-files.ts';
import { exists, readPolicyJson } from './json-file.ts';
import { readProcessors } from './statistics.ts';
import { checkBase, openTrained } from './trained-weights.ts';
import { completeFromVlm } from './vlm-weights.ts';
import { CheckpointWeights, openWeightFiles } from './weights.ts';

/** Folder of a checkpoint that holds its vision-language model's config.json and tokenizer, when it has its own. */
export const VLM_FOLDER = 'vlm';

/** An opened and checked policy directory in LeRobot's layout. */
export interface Checkpoint {
  readonly directory: string;
  /** Where its frozen weights are: the same directory, or that of its base. */
  readonly frozenDirectory: string;
  /** config.json as it is on disk, defaults filled in. */
  readonly json: PolicyConfigJson;
  readonly config: SmolVlaConfig;
  /** Where the tokenizer's files are. */
  readonly tokenizerDirectory: string;
  readonly tokenizer: TaskTokenizer;
  readonly weights: CheckpointWeights;
  readonly normalizer: Normalizer | undefined;
  /** Why the statistics that are there cannot be taken. */
  readonly statisticsProblem: PolicyError | undefined;
  /** Name of an observation as recorded → name that the policy takes, from its own processor. */
  readonly renameMap: Readonly<Record<string, string>>;
  /** Of everything that is not trained; with LoRA this is most of the expert, too. */
  readonly baseHash: string;
  /** Of everything that is not trained without LoRA: what files of trained weights name. */
  readonly wholeBaseHash: string;
}

/** How a checkpoint is opened. */
export interface CheckpointAccess extends HubAccess {
  /** Of the normalisation statistics of several data sets, the one to take. */
  readonly statistics?: string | undefined;
  /** With LoRA, only the adapted weights count as trained. */
  readonly lora?: LoraSettings | undefined;
}

/**
 * Opens a policy directory and checks everything in it that can be checked without running it.
 *
 * @param baseDirectory the policy that has the frozen weights, where `directory` holds trained ones only
 * @param access how the vision-language model's files are fetched, where they are not in a folder; whose statistics are taken
 * @throws PolicyError of nearly every code; HubError, SafetensorsError, StorageError.
 */
export async function openCheckpoint(directory: string, baseDirectory?: string, access: CheckpointAccess = {}): Promise<Checkpoint> {
  const isDirectory = await stat(directory).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isDirectory) {
    throw new PolicyError('POLICY_NOT_FOUND', `no policy directory ${directory}`, {
      hint: 'Give a preset (small), hf:owner/name, or a directory with config.json and model.safetensors.',
    });
  }
  if (await holdsAdapter(directory)) {
    throw new PolicyError('POLICY_UNSUPPORTED', `${directory} holds an adapter, and is named as the base of another policy`, { hint: 'Name the policy that the adapter was trained from.' });
  }
  await refusePointers(directory);
  const configPath = join(directory, 'config.json');
  if (!(await exists(configPath))) {
    throw new PolicyError('POLICY_NOT_FOUND', `${directory} has no config.json`, {
      hint: 'Give the directory that holds config.json and model.safetensors (often named pretrained_model).',
    });
  }
  const json = await readPolicyJson(configPath, policyConfigSchema, 'POLICY_CONFIG_INVALID');
  const frozenDirectory = baseDirectory ?? directory;
  const trained = baseDirectory === undefined ? undefined : await openTrained(directory);
  const files = await openWeightFiles(frozenDirectory).catch(async (error: unknown) => {
    await trained?.close();
    throw error;
  });
  let weights = new CheckpointWeights([...(trained === undefined ? [] : [{ files: [trained] }]), { files }]);
  try {
    const vlmDirectory = await findVlmDirectory(frozenDirectory, json.vlm_model_name, access);
    const vlm = await readVlmConfig(vlmDirectory, json.vlm_model_name);
    const tokenizer = await loadTaskTokenizer(vlmDirectory, {
      maxLength: json.tokenizer_max_length,
      vocabSize: vlm.text.vocabSize,
    });
    const config = withLora(resolveConfig(json, vlm, tokenizer), access.lora);
    if (json.load_vlm_weights) weights = await completeFromVlm(weights, config.model, vlmDirectory, json.vlm_model_name, access);
    checkTensors(config.model, weights.specs);
    const baseHash = await computeBaseHash(config, weights, vlmDirectory);
    const wholeBaseHash = config.model.lora === undefined ? baseHash : await computeBaseHash(withoutLora(config), weights, vlmDirectory);
    if (trained !== undefined) checkBase(trained, wholeBaseHash);
    const { normalizer, problem, renameMap } = await readProcessors(directory, config, weights, access.statistics);
    return {
      directory,
      frozenDirectory,
      json,
      config,
      tokenizerDirectory: vlmDirectory,
      tokenizer,
      weights,
      normalizer,
      statisticsProblem: problem,
      renameMap,
      baseHash,
      wholeBaseHash,
    };
  } catch (error) {
    await weights.close();
    throw error;
  }
}

/** The same configuration with its weights trained themselves. */
export function withoutLora(config: SmolVlaConfig): SmolVlaConfig {
  return { ...config, model: { ...config.model, lora: undefined } };
}

function withLora(config: SmolVlaConfig, lora: LoraSettings | undefined): SmolVlaConfig {
  if (lora === undefined) return config;
  const model = { ...config.model, lora };
  checkModelConfig(model);
  return { ...config, model };
}

/** The folder with the tokenizer: inside the checkpoint, or where `vlm_model_name` points: a path, or a repository of the hub. */
async function findVlmDirectory(directory: string, name: string, access: HubAccess): Promise<string> {
  const candidates = [...new Set([join(directory, VLM_FOLDER), isAbsolute(name) ? name : resolve(directory, name)])];
  for (const candidate of candidates) {
    if (await exists(join(candidate, 'tokenizer.json'))) return candidate;
  }
  const fetched = await fetchVlm(name, [...TOKENIZER_FILES, 'config.json'], access);
  if (fetched !== null && (await exists(join(fetched.directory, 'tokenizer.json')))) return fetched.directory;
  throw new PolicyError('TOKENIZER_INVALID', `no tokenizer.json in ${candidates.join(' or ')}${fetched === null ? '' : `, or in ${name} on the hub`}`, {
    hint: `Put tokenizer.json, tokenizer_config.json and config.json of ${name} into ${candidates[0]!}.`,
  });
}

async function readVlmConfig(vlmDirectory: string, name: string): Promise<VlmConfig> {
  const path = join(vlmDirectory, 'config.json');
  if (await exists(path)) return readPolicyJson(path, vlmConfigSchema, 'POLICY_CONFIG_INVALID');
  const known = KNOWN_VLMS[name];
  if (known !== undefined) return known;
  throw new PolicyError('POLICY_CONFIG_INVALID', `no architecture of ${name}: ${path} is missing`, {
    hint: `Put config.json of ${name} beside its tokenizer.json.`,
  });
}
