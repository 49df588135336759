import { elementCount, InvalidArgumentError, type Parameters, type TensorSource } from '@zk0/core';
import { sharedTensor, type Tensor } from '@zk0/onnx-train';
import { checkParameters } from '../checkpoint/save-checkpoint.ts';
import type { SmolVlaConfig } from '../config/policy-config.ts';
import { PolicyError } from '../errors.ts';
import { allFinite } from '../model/finite.ts';
import { trainedWeightSpecs } from '../model/weights.ts';

/**
 * Reads a correction into memory that optimisers and sessions take as it is.
 *
 * @throws PolicyError POLICY_TENSORS_MISMATCH listing every tensor that does not fit; NOT_FINITE naming the first that has NaN or
 *   infinity in it.
 */
export async function readCorrection(config: SmolVlaConfig, source: TensorSource): Promise<ReadonlyMap<string, Tensor>> {
  checkParameters({ config }, new Map(source.specs.map((spec) => [spec.name, spec])));
  const other = source.specs.find(({ dtype }) => dtype !== 'F32');
  if (other !== undefined) throw new InvalidArgumentError(`correction: ${other.name} is ${other.dtype}, not F32`);
  const correction = new Map<string, Tensor>();
  for (const { name, shape } of trainedWeightSpecs(config.model)) {
    const tensor = sharedTensor('float32', shape);
    const data = tensor.data as Float32Array;
    await source.readBytes(name, 0, new Uint8Array(data.buffer, data.byteOffset, 4 * elementCount(shape)));
    if (!allFinite(data)) throw new PolicyError('NOT_FINITE', `correction: ${name} is not finite`);
    correction.set(name, tensor);
  }
  return correction;
}

/** Means from sums, in place: `sums` are of value times weight. */
export function meansOf(sums: Parameters, weight: number): Parameters {
  for (const { data } of sums.values()) {
    for (let index = 0; index < data.length; index++) data[index] = data[index]! / weight;
  }
  return sums;
}
