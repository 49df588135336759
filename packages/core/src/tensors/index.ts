/**
 * @module
 * Element types and shapes of tensors, by themselves: `@zk0/core/tensors`. No schemas are loaded with it.
 */
export { byteLength, compareNames, DTYPE_BYTES, elementCount, sameShape, type Dtype, type TensorSpec } from './dtype.ts';
export { decodeBfloat16, decodeFloat16, encodeBfloat16, encodeFloat16, float16ToNumber } from './half.ts';
