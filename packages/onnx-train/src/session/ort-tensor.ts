import type * as Ort from 'onnxruntime-node';
import { ort } from './ort.ts';
import { ARRAY_TYPES, type Tensor, type TensorType } from './tensor.ts';

/** This package's tensor as onnxruntime takes it, over the same memory. */
export function toOrt({ dtype, shape, data }: Tensor): Ort.Tensor {
  if (dtype === 'float16') {
    // onnxruntime's Tensor wraps float16 in the platform's Float16Array, which its binding then reads as empty; as bits
    // under the right name they arrive.
    return Object.assign(new ort.Tensor('uint16', data, shape), { type: 'float16' as const });
  }
  return new ort.Tensor(dtype as 'float32', data as Float32Array, shape);
}

/** A tensor in the processor's memory as this package's own, over the same memory. */
export function fromOrt(tensor: Ort.Tensor): Tensor {
  const dtype = tensor.type as TensorType;
  const { buffer, byteOffset, length } = tensor.data as Float32Array;
  return { dtype, shape: tensor.dims, data: new ARRAY_TYPES[dtype](buffer as ArrayBuffer, byteOffset, length) } as Tensor;
}
