import { describe, expect, it } from 'vitest';
import { resolveConfig } from '../config/resolve-config.ts';
import { policyConfigSchema } from '../config/policy-config.ts';
import { vlmConfigSchema } from '../config/vlm-config.ts';
import { weightSpecs } from '../model/weights.ts';
import { makeByteTokenizer } from '../tokenizer/byte-tokenizer.ts';
import { readPretrained } from './pretrained.ts';
import { SMALL } from './small.ts';

const json = policyConfigSchema.parse({ ...SMALL.policy, vlm_model_name: 'vlm' });
const vlm = vlmConfigSchema.parse(SMALL.vlm(makeByteTokenizer().vocabSize));
const specs = weightSpecs(resolveConfig(json, vlm, { fakeImageTokenId: 0, globalImageTokenId: 0 }).model);
const part = SMALL.pretrained!;

describe('the pre-trained weights of the small preset', () => {
  it('has every weight that is used, finite', async () => {
    const weights = await readPretrained(part, specs);
    const wanted = specs.filter(({ used }) => used).map(({ name }) => name);
    expect(wanted.filter((name) => !weights.has(name))).toEqual([]);
    for (const values of weights.values()) expect(values.every(Number.isFinite)).toBe(true);
  });

  it('is refused when it is another file, or of another model', async () => {
    await expect(readPretrained({ ...part, sha256: '0'.repeat(64) }, specs)).rejects.toMatchObject({ code: 'POLICY_TENSORS_MISMATCH' });
    await expect(readPretrained(part, specs.slice(1))).rejects.toMatchObject({ code: 'POLICY_TENSORS_MISMATCH' });
  });
});
