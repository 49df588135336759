import { decodeBfloat16, decodeFloat16, elementCount, type TensorSource } from '@zk0/core';
import { PolicyError } from '../errors.ts';

/** More axes than any robot has. */
const MAX_AXES = 4096;

/** Element types that statistics are read in. */
const DTYPES: readonly string[] = ['F64', 'F32', 'BF16', 'F16'];

/**
 * Reads a short vector of a safetensors file, in any float type.
 *
 * @throws PolicyError POLICY_TENSORS_MISMATCH for another shape or type
 */
export async function readVector(source: TensorSource, name: string): Promise<number[]> {
  const spec = source.specs.find((candidate) => candidate.name === name);
  if (spec === undefined) throw new PolicyError('POLICY_TENSORS_MISMATCH', `there is no statistic ${name}`);
  const length = elementCount(spec.shape);
  if (spec.shape.length !== 1 || length > MAX_AXES || !DTYPES.includes(spec.dtype)) {
    throw new PolicyError('POLICY_TENSORS_MISMATCH', `statistic ${name} is ${spec.dtype} [${spec.shape.join(', ')}], not a short vector of floats`, {
      hint: 'Download or save the policy again.',
    });
  }
  if (spec.dtype === 'F64') {
    const values = new Float64Array(length);
    await source.readBytes(name, 0, new Uint8Array(values.buffer));
    return [...values];
  }
  const values = new Float32Array(length);
  if (spec.dtype === 'F32') await source.readBytes(name, 0, new Uint8Array(values.buffer));
  else {
    const bits = new Uint16Array(length);
    await source.readBytes(name, 0, new Uint8Array(bits.buffer));
    if (spec.dtype === 'F16') decodeFloat16(bits, values);
    else decodeBfloat16(bits, values);
  }
  return [...values];
}
