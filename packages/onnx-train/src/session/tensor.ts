import { elementCount } from '@zk0/core/tensors';
import { SessionError } from '../errors.ts';
import type { DataType } from '../graph/data-type.ts';

/** Typed arrays that hold tensor data; 16-bit floats are kept as their bits. */
interface ArrayTypes {
  float32: Float32Array;
  float64: Float64Array;
  float16: Uint16Array;
  int64: BigInt64Array;
  int32: Int32Array;
  int8: Int8Array;
  uint8: Uint8Array;
  bool: Uint8Array;
}

/** Element types that can cross the border of a session (bfloat16 can only live inside a graph). */
export type TensorType = keyof ArrayTypes;

/** Data of a {@link Tensor}. */
export type TensorData = ArrayTypes[TensorType];

/** Numbers going into a session or coming out of it, row-major. */
export type Tensor = {
  readonly [T in TensorType]: { readonly dtype: T; readonly shape: readonly number[]; readonly data: ArrayTypes[T] };
}[TensorType];

/** Tensors by the name of the input or output. */
export type Tensors = Readonly<Record<string, Tensor>>;

export const ARRAY_TYPES = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const;

/** Whether tensors of this element type can be fed to a session or fetched from it. */
export function isTensorType(dtype: DataType): dtype is TensorType {
  return Object.hasOwn(ARRAY_TYPES, dtype);
}

/** A float32 tensor. Data over a `SharedArrayBuffer` reach a session without being copied. */
export function float32Tensor(data: Float32Array, shape: readonly number[] = [data.length]): Tensor {
  return { dtype: 'float32', shape, data };
}

/** An int64 tensor of numbers or bigints. */
export function int64Tensor(data: BigInt64Array | readonly number[], shape: readonly number[] = [data.length]): Tensor {
  const values = data instanceof BigInt64Array ? data : BigInt64Array.from(data, (value) => BigInt(value));
  return { dtype: 'int64', shape, data: values };
}

/** A bool tensor; anything but 0 is true. */
export function boolTensor(data: Uint8Array, shape: readonly number[] = [data.length]): Tensor {
  return { dtype: 'bool', shape, data };
}

/** Zeros in memory that sessions and workers share instead of copying. */
export function sharedTensor(dtype: TensorType, shape: readonly number[]): Tensor {
  // All of them take any buffer; TypeScript sees a union of constructors and looks for one common signature.
  const Type = ARRAY_TYPES[dtype] as Float32ArrayConstructor;
  const buffer = new SharedArrayBuffer(elementCount(shape) * Type.BYTES_PER_ELEMENT);
  return { dtype, shape, data: new Type(buffer) } as unknown as Tensor;
}

/**
 * Checks that a tensor is what a model's input or output wants; a size of −1 takes anything.
 *
 * @param where said in the message, for example `input x`.
 */
export function checkTensor(where: string, tensor: Tensor, wanted: { dtype: DataType; shape: readonly number[] }): void {
  const { dtype, shape } = wanted;
  const fits = tensor.shape.length === shape.length && shape.every((size, axis) => size === -1 || size === tensor.shape[axis]);
  if (tensor.dtype !== dtype || !fits) {
    throw new SessionError(
      'RUN_FAILED',
      `${where} is ${tensor.dtype} [${tensor.shape.join(', ')}], the model has ${dtype} [${shape.join(', ')}] there`,
    );
  }
  if (!(tensor.data instanceof ARRAY_TYPES[tensor.dtype]) || tensor.data.length !== elementCount(tensor.shape)) {
    throw new SessionError(
      'RUN_FAILED',
      `${where} has ${tensor.data.length} elements, its shape [${tensor.shape.join(', ')}] needs ${elementCount(tensor.shape)}`,
    );
  }
}
