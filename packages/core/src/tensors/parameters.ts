import { createHash } from 'node:crypto';
import { compareNames, sameShape } from './dtype.ts';
import { encodeSafetensors } from './safetensors.ts';

/** A dense float32 tensor, row-major. */
export interface Float32Tensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** A model's trained weights: float32 tensors by name. Iteration order carries no meaning. */
export type Parameters = ReadonlyMap<string, Float32Tensor>;

/** The bytes of a parameter set in the one canonical form: safetensors, F32, names in code-unit order. */
export function encodeParameters(parameters: Parameters): Uint8Array {
  const names = [...parameters.keys()].sort(compareNames);
  return encodeSafetensors(
    names.map((name) => {
      const { shape, data } = parameters.get(name)!;
      return { name, dtype: 'F32' as const, shape, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
    }),
  );
}

/** Hex SHA-256 of {@link encodeParameters}: covers names, shapes, dtypes and every byte of data. */
export function hashParameters(parameters: Parameters): string {
  return createHash('sha256').update(encodeParameters(parameters)).digest('hex');
}

/** L2 norm of `a − b` over all tensors, accumulated in float64. Both must have the same names and shapes. */
export function updateNorm(a: Parameters, b: Parameters): number {
  let sum = 0;
  for (const [name, { shape, data }] of a) {
    const other = b.get(name);
    if (other === undefined || !sameShape(shape, other.shape)) {
      throw new TypeError(`tensor ${name} is not the same on both sides`);
    }
    for (let index = 0; index < data.length; index++) {
      const difference = data[index]! - other.data[index]!;
      sum += difference * difference;
    }
  }
  return Math.sqrt(sum);
}
