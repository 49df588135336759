import { decodeBfloat16, decodeFloat16, encodeBfloat16, encodeFloat16, type Random } from '@zk0/core';
import { INT8_BLOCK, type AveragedDtype, type StoredDtype } from '../src/engine/operands.ts';
import { compileKernel, KernelInstance, type KernelSpec } from '../src/kernels/kernel.ts';
import { newMemory } from '../src/wasm/runtime.ts';

/** An operand of a tile: its bytes, and what they stand for. */
export interface TileOperand {
  readonly dtype: StoredDtype;
  readonly data: Uint8Array;
  readonly scales: Uint8Array;
  readonly values: Float32Array;
}

/** Values in a type, as it rounds them. */
export function operandOf(dtype: StoredDtype, wanted: Float32Array): TileOperand {
  const values = new Float32Array(wanted.length);
  const none = new Uint8Array();
  if (dtype === 'F32') return { dtype, data: bytesOf(wanted), scales: none, values: wanted };
  if (dtype === 'I8') {
    const scales = Float32Array.from({ length: Math.ceil(wanted.length / INT8_BLOCK) }, (_, block) => {
      const largest = wanted.subarray(block * INT8_BLOCK, (block + 1) * INT8_BLOCK).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      return largest / 127;
    });
    const data = Int8Array.from(wanted, (value, index) => Math.round(value / (scales[Math.floor(index / INT8_BLOCK)]! || 1)));
    data.forEach((value, index) => (values[index] = value * scales[Math.floor(index / INT8_BLOCK)]!));
    return { dtype, data: bytesOf(data), scales: bytesOf(scales), values };
  }
  const bits = new Uint16Array(wanted.length);
  if (dtype === 'BF16') decodeBfloat16(encodeBfloat16(wanted, bits), values);
  else decodeFloat16(encodeFloat16(wanted, bits), values);
  return { dtype, data: bytesOf(bits), scales: none, values };
}

/** Runs a kernel on one tile; results are raw bytes. */
export function runTile(
  spec: KernelSpec,
  operands: readonly TileOperand[],
  results: readonly AveragedDtype[],
  length: number,
): { readonly partial: Float64Array; readonly results: readonly Uint8Array[] } {
  const kernel = compileKernel(spec, { operands: operands.map(({ dtype }) => dtype), results });
  const instance = new KernelInstance(kernel, newMemory());
  for (const [index, { data, scales }] of operands.entries()) {
    const { begin, scaleBegin } = kernel.layout.operands[index]!;
    instance.bytes.set(data, begin);
    if (scales.length > 0) instance.bytes.set(scales, scaleBegin);
  }
  const partial = instance.partial();
  instance.process({ tensor: 't', offset: 0, length }, 0, partial);
  return {
    partial,
    results: kernel.layout.results.map(({ dtype, begin }) => instance.bytes.slice(begin, begin + length * (dtype === 'F32' ? 4 : 2))),
  };
}

/** Random values of many magnitudes, zeros of both signs and equal ones among them. */
export function randomValues(random: Random, length: number): Float32Array {
  return Float32Array.from({ length }, () => {
    const kind = random.below(12);
    if (kind === 0) return random.below(2) === 0 ? 0 : -0;
    if (kind === 1) return random.below(3) - 1;
    if (kind === 2) return random.normal() * 1e-42;
    return random.normal() * 10 ** (random.below(9) - 6);
  });
}

export function bytesOf(array: Float32Array | Float64Array | Uint16Array | Int8Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
