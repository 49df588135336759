import { decodeSafetensors } from '@zk0/core';

/** The one tensor of a virtual model. */
export const TENSOR = 'w';

/** The numbers of a virtual model, from its safetensors bytes. */
export function parametersOf(bytes: Uint8Array): Float32Array {
  const { data } = decodeSafetensors(bytes).tensors[0]!;
  const numbers = new Float32Array(data.byteLength / 4);
  new Uint8Array(numbers.buffer).set(data);
  return numbers;
}
