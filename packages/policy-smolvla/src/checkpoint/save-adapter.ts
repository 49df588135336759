import { copyFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Float32Tensor, Parameters } from '@zk0/core';
import { writeDirectoryAtomic, writeParameters } from '@zk0/storage';
import { PolicyError } from '../errors.ts';
import { factorName, LORA_TARGETS } from '../model/lora.ts';
import { ADAPTER_CONFIG_FILE, ADAPTER_WEIGHTS_FILE, PEFT_PREFIX } from './adapter.ts';
import { lowRank } from './low-rank.ts';
import { writeJson } from './processor-files.ts';

/** What an adapter says beside its factors. */
export interface AdapterContext {
  readonly rank: number;
  /** Where the base is, as PEFT names it: `owner/name` of the hub, a preset, or a path. */
  readonly base: string;
  readonly revision: string | undefined;
  /** A checkpoint's directory: its processors are the adapter's, too. */
  readonly from: string;
}

/** What an adapter leaves out of the change that it was made from. */
export interface AdapterReport {
  /** ‖change − factors‖ / ‖change‖ over all weights; 0 where nothing was changed. */
  readonly residual: number;
  /** Weights that were changed. */
  readonly changed: number;
}

/**
 * Writes what training has changed as an adapter in PEFT's layout, which LeRobot and `openPolicy` load: the nearest factors of the
 * given rank for each weight, with `lora_alpha` equal to the rank.
 *
 * @param config the policy's own configuration, as config.json has it
 * @throws PolicyError POLICY_UNSUPPORTED naming weights that LoRA does not adapt, and that were changed
 */
export async function saveAdapter(
  directory: string,
  before: Parameters,
  after: Parameters,
  config: Readonly<Record<string, unknown>>,
  { rank, base, revision, from }: AdapterContext,
): Promise<AdapterReport> {
  const pattern = new RegExp(`^(?:${LORA_TARGETS})$`);
  const isAdapted = (name: string): boolean => name.endsWith('.weight') && pattern.test(name.slice(0, -'.weight'.length));
  const changed = [...after].filter(([name, { data }]) => data.some((value, at) => value !== before.get(name)!.data[at]));
  const others = changed.filter(([name]) => !isAdapted(name)).map(([name]) => name);
  if (others.length > 0) {
    throw new PolicyError('POLICY_UNSUPPORTED', `an adapter cannot hold what was trained: ${others.length} weights that LoRA does not adapt differ from the base, ${others.slice(0, 3).join(', ')}${others.length > 3 ? ', …' : ''}`, {
      hint: 'Only what was trained with --lora-rank from this base can be an adapter; write the form full or trained.',
    });
  }
  const factors = new Map<string, Float32Tensor>();
  let [squares, left] = [0, 0];
  for (const [name, { shape, data }] of [...after].filter(([each]) => isAdapted(each))) {
    const [rows, columns] = shape as [number, number];
    const start = before.get(name)!.data;
    const found = lowRank(Float64Array.from(data, (value, at) => value - start[at]!), rows, columns, rank, name);
    squares += found.squares;
    left += found.residualSquares;
    factors.set(`${PEFT_PREFIX}${factorName(name, 'A')}`, { shape: [rank, columns], data: found.a });
    factors.set(`${PEFT_PREFIX}${factorName(name, 'B')}`, { shape: [rows, rank], data: found.b });
  }
  await writeDirectoryAtomic(directory, async (target) => {
    for (const file of await readdir(from)) if (file.startsWith('policy_')) await copyFile(join(from, file), join(target, file));
    await writeJson(join(target, 'config.json'), { ...config, use_peft: true });
    await writeJson(join(target, ADAPTER_CONFIG_FILE), adapterConfig(rank, base, revision));
    await writeParameters(join(target, ADAPTER_WEIGHTS_FILE), factors);
  });
  return { residual: squares === 0 ? 0 : Math.sqrt(left / squares), changed: changed.length };
}

function adapterConfig(rank: number, base: string, revision: string | undefined): Record<string, unknown> {
  return {
    auto_mapping: { base_model_class: 'SmolVLAPolicy', parent_library: 'lerobot.policies.smolvla.modeling_smolvla' },
    base_model_name_or_path: base,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: rank,
    lora_dropout: 0,
    modules_to_save: [],
    peft_type: 'LORA',
    r: rank,
    revision: revision ?? null,
    target_modules: LORA_TARGETS,
    task_type: null,
    use_dora: false,
    use_rslora: false,
  };
}
