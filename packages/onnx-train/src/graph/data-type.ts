import { encodeBfloat16, encodeFloat16, type Dtype } from '@zk0/core/tensors';
import { GraphError } from '../errors.ts';

/** Element types, in onnxruntime's spelling, with their number in `onnx.proto` (`TensorProto.DataType`) and size. */
export const DATA_TYPES = {
  float32: { code: 1, bytes: 4 },
  uint8: { code: 2, bytes: 1 },
  int8: { code: 3, bytes: 1 },
  int32: { code: 6, bytes: 4 },
  int64: { code: 7, bytes: 8 },
  bool: { code: 9, bytes: 1 },
  float16: { code: 10, bytes: 2 },
  float64: { code: 11, bytes: 8 },
  bfloat16: { code: 16, bytes: 2 },
} as const;

/** One element type of a graph's values. */
export type DataType = keyof typeof DATA_TYPES;

const FROM_SAFETENSORS: Partial<Record<Dtype, DataType>> = {
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
  F64: 'float64',
  I64: 'int64',
  I32: 'int32',
  I8: 'int8',
  U8: 'uint8',
  BOOL: 'bool',
};

/** The graph element type of a safetensors element type. */
export function dataTypeOf(dtype: Dtype): DataType {
  const found = FROM_SAFETENSORS[dtype];
  if (found === undefined) throw new GraphError(`element type ${dtype} has no use in a graph here`);
  return found;
}

/** Whether gradients can flow through values of this type. */
export function isFloat(dtype: DataType): boolean {
  return dtype === 'float32' || dtype === 'float16' || dtype === 'bfloat16' || dtype === 'float64';
}

/** The little-endian bytes of numbers in an element type (round to nearest even for the 16-bit floats). */
export function encodeNumbers(values: readonly number[], dtype: DataType): Uint8Array {
  switch (dtype) {
    case 'float32':
      return bytesOf(Float32Array.from(values));
    case 'float64':
      return bytesOf(Float64Array.from(values));
    case 'int64':
      return bytesOf(BigInt64Array.from(values, (value) => BigInt(value)));
    case 'int32':
      return bytesOf(Int32Array.from(values));
    case 'int8':
      return bytesOf(Int8Array.from(values));
    case 'uint8':
      return Uint8Array.from(values);
    case 'bool':
      return Uint8Array.from(values, (value) => (value === 0 ? 0 : 1));
    case 'bfloat16':
      return bytesOf(encodeBfloat16(Float32Array.from(values), new Uint16Array(values.length)));
    case 'float16':
      return bytesOf(encodeFloat16(Float32Array.from(values), new Uint16Array(values.length)));
  }
}

function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
