/**
 * @module
 * Adapters of the PEFT library, as LeRobot saves them in place of a policy's weights: `adapter_config.json` and
 * `adapter_model.safetensors` with `base_model.model.<module>.lora_A.weight` and `….lora_B.weight` of each adapted module, and
 * whole tensors of modules that were trained in full (`modules_to_save`).
 */
import { join } from 'node:path';
import { elementCount, sameShape, type Float32Tensor, type Parameters, type TensorSpec } from '@zk0/core';
import { isHubAddress } from '@zk0/hub';
import { openSafetensors, readParameters, type SafetensorsFile } from '@zk0/storage';
import * as z from 'zod';
import { PolicyError } from '../errors.ts';
import { mergeInto } from '../model/lora.ts';
import { PRESETS } from '../preset/presets.ts';
import { exists, readPolicyJson } from './json-file.ts';
import { INDEX_FILE, TRAINED_FILE, WEIGHTS_FILE } from './weights.ts';

export const ADAPTER_CONFIG_FILE = 'adapter_config.json';
export const ADAPTER_WEIGHTS_FILE = 'adapter_model.safetensors';
/** What PEFT puts before the names of a model's modules. */
export const PEFT_PREFIX = 'base_model.model.';

/** What changes the numbers; fields that PEFT may add and that do not are let through. */
const adapterSchema = z.looseObject({
  peft_type: z.string().max(100),
  base_model_name_or_path: z.string().max(1000).nullish(),
  revision: z.string().max(200).nullish(),
  r: z.int().min(1).max(1024),
  lora_alpha: z.number().gt(0).max(1e6),
  alpha_pattern: z.record(z.string().max(1000), z.number()).nullish(),
  use_rslora: z.boolean().nullish(),
  use_dora: z.boolean().nullish(),
  fan_in_fan_out: z.boolean().nullish(),
  bias: z.string().max(100).nullish(),
});
export type AdapterConfig = z.infer<typeof adapterSchema>;

/** Whether a directory holds an adapter in place of a policy's weights. */
export async function holdsAdapter(directory: string): Promise<boolean> {
  if (!(await exists(join(directory, ADAPTER_CONFIG_FILE)))) return false;
  const whole = await Promise.all([WEIGHTS_FILE, INDEX_FILE, TRAINED_FILE].map((file) => exists(join(directory, file))));
  return !whole.includes(true);
}

/**
 * Reads what an adapter says of itself.
 *
 * @throws PolicyError POLICY_CONFIG_INVALID; POLICY_UNSUPPORTED naming the field
 */
export async function readAdapterConfig(directory: string): Promise<AdapterConfig> {
  const path = join(directory, ADAPTER_CONFIG_FILE);
  const type = (await readPolicyJson(path, z.looseObject({ peft_type: z.string().max(100).nullish() }), 'POLICY_CONFIG_INVALID')).peft_type ?? 'of no type';
  if (type !== 'LORA') throw unsupported(directory, `its peft_type is ${type}, and only LORA is read`);
  const config = await readPolicyJson(path, adapterSchema, 'POLICY_CONFIG_INVALID');
  if (config.use_dora === true) throw unsupported(directory, 'use_dora is true');
  if (config.fan_in_fan_out === true) throw unsupported(directory, 'fan_in_fan_out is true');
  if ((config.bias ?? 'none') !== 'none') throw unsupported(directory, `bias is ${String(config.bias)}`);
  return config;
}

/**
 * Where the policy is that an adapter belongs to: a preset's name, a directory, or an address of the hub.
 *
 * @throws PolicyError POLICY_WEIGHTS_MISSING where it does not say
 */
export async function adapterBase(directory: string, { base_model_name_or_path: base, revision }: AdapterConfig): Promise<string> {
  if (base == null || base === '') {
    throw new PolicyError('POLICY_WEIGHTS_MISSING', `${directory} holds an adapter that does not say of which policy`, {
      hint: 'Name the policy it was trained from with --base, or in base_model_name_or_path of its adapter_config.json.',
    });
  }
  if (Object.hasOwn(PRESETS, base) || isHubAddress(base) || (await exists(base))) return base;
  return `hf:${base}${revision == null ? '' : `@${revision}`}`;
}

/**
 * An adapter's weights folded into those of its base, `W + scale · B · A` with PEFT's scale, in float64 and rounded once.
 *
 * @param base the base's weights that may be trained
 * @returns the weights that it changes
 * @throws PolicyError POLICY_UNSUPPORTED for modules that are frozen here, POLICY_TENSORS_MISMATCH for what does not fit; SafetensorsError
 */
export async function mergeAdapter(directory: string, config: AdapterConfig, base: Parameters): Promise<Parameters> {
  const path = join(directory, ADAPTER_WEIGHTS_FILE);
  if (!(await exists(path))) throw new PolicyError('POLICY_WEIGHTS_MISSING', `${directory} has no ${ADAPTER_WEIGHTS_FILE}`, { hint: 'Download the whole adapter.' });
  const file = await openSafetensors(path);
  try {
    checkSizes(path, file, base);
    const found = await readParameters(file);
    return new Map(changedBy(path, file.specs).map(({ weight, a, b, whole }): [string, Float32Tensor] => {
      const before = base.get(weight);
      if (before === undefined) throw unsupported(directory, `it changes ${weight}, which is frozen here or is not part of the policy`);
      if (whole !== undefined) return [weight, fitting(path, whole, found.get(whole)!, before.shape)];
      const [left, right] = [found.get(a!), found.get(b!)];
      if (left === undefined || right === undefined) throw mismatch(path, `${weight} has one factor only`);
      const [outputs, inputs] = before.shape;
      const rank = left.shape[0] ?? 0;
      if (before.shape.length !== 2 || !sameShape(left.shape, [rank, inputs!]) || !sameShape(right.shape, [outputs!, rank])) {
        throw mismatch(path, `factors [${right.shape.join(', ')}] and [${left.shape.join(', ')}] do not make ${weight} [${before.shape.join(', ')}]`);
      }
      return [weight, { shape: before.shape, data: mergeInto(before, left, right, scaleOf(config, weight, rank)) }];
    }));
  } finally {
    await file.close();
  }
}

interface Change {
  readonly weight: string;
  readonly a?: string;
  readonly b?: string;
  /** A tensor that was trained in full. */
  readonly whole?: string;
}

/** What an adapter's tensors change, by weight. */
function changedBy(path: string, specs: readonly TensorSpec[]): readonly Change[] {
  const changes = new Map<string, Change>();
  for (const { name } of specs) {
    if (!name.startsWith(PEFT_PREFIX)) throw mismatch(path, `tensor ${name} does not begin with ${PEFT_PREFIX}`);
    const plain = name.slice(PEFT_PREFIX.length);
    const factor = /^(.+)\.lora_([AB])\.weight$/.exec(plain);
    const weight = factor === null ? plain : `${factor[1]!}.weight`;
    const part = factor === null ? { whole: name } : factor[2] === 'A' ? { a: name } : { b: name };
    changes.set(weight, { ...changes.get(weight), weight, ...part });
  }
  return [...changes.values()];
}

/** PEFT's scaling of a module: `alpha / r`, or `alpha / √r` with rank-stabilised LoRA; patterns are matched as PEFT does. */
function scaleOf({ lora_alpha: alpha, alpha_pattern: patterns, use_rslora: stabilised }: AdapterConfig, weight: string, rank: number): number {
  const module = weight.replace(/\.weight$/, '');
  const own = Object.entries(patterns ?? {}).find(([pattern]) => pattern === module || module.endsWith(`.${pattern}`));
  return (own?.[1] ?? alpha) / (stabilised === true ? Math.sqrt(rank) : rank);
}

/** Nothing is read of a file that claims more than factors of this policy can be. */
function checkSizes(path: string, { specs }: SafetensorsFile, base: Parameters): void {
  const largest = [...base.values()].reduce((sum, { data }) => sum + data.length, 0);
  const claimed = specs.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  if (claimed > 4 * largest + 1024) throw mismatch(path, `it has ${claimed} values, the weights that it could change ${largest}`);
}

function fitting(path: string, name: string, tensor: Float32Tensor, shape: readonly number[]): Float32Tensor {
  if (sameShape(tensor.shape, shape)) return tensor;
  throw mismatch(path, `${name} has shape [${tensor.shape.join(', ')}], not [${shape.join(', ')}]`);
}

function mismatch(path: string, problem: string): PolicyError {
  return new PolicyError('POLICY_TENSORS_MISMATCH', `${path}: ${problem}`, { hint: 'Check that the adapter belongs to this policy, and download it again.' });
}

function unsupported(directory: string, problem: string): PolicyError {
  return new PolicyError('POLICY_UNSUPPORTED', `the adapter in ${directory} cannot be read: ${problem}`, {
    hint: `Merge it into its base in Python and save the result: PeftModel.from_pretrained(policy, ${JSON.stringify(directory)}).merge_and_unload().save_pretrained(…).`,
  });
}
