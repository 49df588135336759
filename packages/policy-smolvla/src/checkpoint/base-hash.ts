import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { byteLength, compareNames, type TensorSource } from '@zk0/core';
import type { SmolVlaConfig } from '../config/policy-config.ts';
import { weightSpecs } from '../model/weights.ts';
import { TOKENIZER_FILES } from '../tokenizer/tokenizer.ts';

const CHUNK_BYTES = 8 << 20;

/**
 * Hex SHA-256 over everything that two participants must have in common before they can share trained weights: the
 * architecture, the frozen weights that change a result (as stored), and the tokenizer.
 */
export async function computeBaseHash(config: SmolVlaConfig, weights: TensorSource, tokenizerDirectory: string): Promise<string> {
  const hash = createHash('sha256');
  // Whoever shares weights has to freeze the same ones; how they are factored is the run's to say.
  const { lora, ...model } = config.model;
  hash.update(stableJson({ model, ...(lora !== undefined && { adapted: true }), tokenizerMaxLength: config.tokenizerMaxLength }));
  const stored = new Map(weights.specs.map((spec) => [spec.name, spec]));
  const frozen = weightSpecs(config.model)
    .filter(({ used, trained }) => used && !trained)
    .map(({ name }) => name)
    .sort(compareNames);
  const buffer = new Uint8Array(CHUNK_BYTES);
  for (const name of frozen) {
    const spec = stored.get(name)!;
    hash.update(stableJson({ name, dtype: spec.dtype, shape: spec.shape }));
    const size = byteLength(spec);
    for (let offset = 0; offset < size; offset += CHUNK_BYTES) {
      const chunk = buffer.subarray(0, Math.min(CHUNK_BYTES, size - offset));
      await weights.readBytes(name, offset, chunk);
      hash.update(chunk);
    }
  }
  for (const file of TOKENIZER_FILES) {
    const bytes = await readFile(join(tokenizerDirectory, file));
    hash.update(stableJson({ file, byteLength: bytes.byteLength }));
    hash.update(bytes);
  }
  return hash.digest('hex');
}

/** JSON with the keys of every object in code-unit order. */
function stableJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => compareNames(a, b)))
      : inner,
  );
}
