import { join } from 'node:path';
import * as z from 'zod';
import { PolicyError } from '../errors.ts';
import { exists, readPolicyJson } from './json-file.ts';
import { INDEX_FILE, WEIGHTS_FILE } from './weights.ts';

export const ADAPTER_CONFIG_FILE = 'adapter_config.json';

const adapterSchema = z.looseObject({
  peft_type: z.string().max(100).nullish(),
  base_model_name_or_path: z.string().max(1000).nullish(),
});

/**
 * Refuses a directory that holds an adapter of the PEFT library in place of a policy's weights.
 *
 * @throws PolicyError POLICY_UNSUPPORTED naming its base and what to do
 */
export async function refuseAdapter(directory: string): Promise<void> {
  const path = join(directory, ADAPTER_CONFIG_FILE);
  if (!(await exists(path)) || (await exists(join(directory, WEIGHTS_FILE))) || (await exists(join(directory, INDEX_FILE)))) return;
  const { peft_type: type, base_model_name_or_path: base } = await readPolicyJson(path, adapterSchema, 'POLICY_CONFIG_INVALID');
  throw new PolicyError('POLICY_UNSUPPORTED', `${directory} holds an adapter (${type ?? 'PEFT'}) of ${base ?? 'a policy that it does not name'}, not a policy`, {
    hint: `Merge it into its base in Python and save the result: PeftModel.from_pretrained(policy, ${JSON.stringify(directory)}).merge_and_unload().save_pretrained(…).`,
  });
}
