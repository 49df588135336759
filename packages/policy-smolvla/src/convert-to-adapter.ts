import { join } from 'node:path';
import { InvalidArgumentError } from '@zk0/core';
import { isHubAddress, parseHubAddress } from '@zk0/hub';
import * as z from 'zod';
import { readPolicyJson } from './checkpoint/json-file.ts';
import { saveAdapter, type AdapterReport } from './checkpoint/save-adapter.ts';
import { baseMismatch, baseSourceOf, holdsTrainedOnly } from './checkpoint/trained-weights.ts';
import { openPolicy } from './open-policy.ts';
import type { OpenPolicyOptions } from './policy.ts';

/** How an adapter is made of a checkpoint. */
export interface ConvertToAdapterOptions extends Pick<OpenPolicyOptions, 'cacheDirectory' | 'signal' | 'onProgress' | 'hub'> {
  /** The policy that training began with; needed where the checkpoint does not name it. */
  readonly base?: string;
  /** Rank of the factors, 1 to 1024. */
  readonly rank: number;
}

/**
 * Writes what training with LoRA has made of its base as an adapter in PEFT's layout, `adapter_config.json` and
 * `adapter_model.safetensors`. Rounds add products of factors, so that their sum may have a higher rank than each: what the
 * adapter leaves out of it is in the report.
 *
 * @param source a checkpoint of a run with LoRA
 * @param target a directory that is not there yet
 * @throws InvalidArgumentError without a base; PolicyError POLICY_BASE_MISMATCH, POLICY_UNSUPPORTED; StorageError
 */
export async function convertToAdapter(source: string, target: string, { base: named, rank, ...open }: ConvertToAdapterOptions): Promise<AdapterReport> {
  if (!Number.isInteger(rank) || rank < 1 || rank > 1024) throw new InvalidArgumentError(`the rank of an adapter is ${rank}; it is a whole number from 1 to 1024`);
  const policy = await openPolicy(source, { ...open, device: 'cpu', ...(named !== undefined && { base: named }) });
  try {
    const baseSource = named ?? ((await holdsTrainedOnly(policy.directory)) ? await baseSourceOf(policy.directory) : undefined);
    if (baseSource === undefined) {
      throw new InvalidArgumentError(`${source} is a whole policy, and does not say what it was trained from`, { hint: 'Name the policy that training began with: --base NAME|PATH.' });
    }
    const base = await openPolicy(baseSource, { ...open, device: 'cpu' });
    try {
      if (base.baseHash !== policy.baseHash) throw baseMismatch(policy.directory, policy.baseHash, base.baseHash);
      const config = await readPolicyJson(join(policy.directory, 'config.json'), z.looseObject({}), 'POLICY_CONFIG_INVALID');
      const address = isHubAddress(base.source) ? parseHubAddress(base.source) : undefined;
      return await saveAdapter(target, await base.initialParameters(), await policy.initialParameters(), config, {
        rank,
        base: address?.repository ?? base.source,
        revision: address?.revision,
        from: policy.directory,
      });
    } finally {
      await base.close();
    }
  } finally {
    await policy.close();
  }
}
