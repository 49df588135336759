import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { decodeFloat16, decodeSafetensors, elementCount, sameShape, type TensorSpec } from '@zk0/core';
import { PolicyError } from '../errors.ts';
import type { PretrainedPart } from './small.ts';

const require = createRequire(import.meta.url);

/**
 * Reads a preset's pre-trained weights, which come with this package, as float32 by name.
 *
 * @param specs the preset's weights; every tensor of the file has to be one of them
 * @throws PolicyError `POLICY_TENSORS_MISMATCH` when the file is not the one that the preset was made with
 */
export async function readPretrained({ file, sha256 }: PretrainedPart, specs: readonly TensorSpec[]): Promise<ReadonlyMap<string, Float32Array>> {
  const bytes = await readFile(require.resolve(`@zk0/policy-smolvla/assets/${file}`));
  if (createHash('sha256').update(bytes).digest('hex') !== sha256) {
    throw new PolicyError('POLICY_TENSORS_MISMATCH', `${file} of this installation is not the file that the preset was made with`, {
      hint: 'Install the package again.',
    });
  }
  const shapes = new Map(specs.map(({ name, shape }) => [name, shape]));
  const { tensors } = decodeSafetensors(bytes);
  return new Map(
    tensors.map(({ name, dtype, shape, data }) => {
      const wanted = shapes.get(name);
      if (dtype !== 'F16' || wanted === undefined || !sameShape(shape, wanted)) {
        throw new PolicyError('POLICY_TENSORS_MISMATCH', `${file}: tensor ${name} (${dtype}, [${shape.join(', ')}]) is none of the preset's`);
      }
      // A copy: the tensor may begin at an odd byte.
      const bits = new Uint16Array(Uint8Array.from(data).buffer);
      return [name, decodeFloat16(bits, new Float32Array(elementCount(shape)))] as const;
    }),
  );
}
