import { byteLength, type TensorSink, type TensorSource, type TensorSpec } from '@zk0/core';

/** Element types that can be averaged. */
export type AveragedDtype = 'F32' | 'BF16' | 'F16';
export const AVERAGED_DTYPES: readonly AveragedDtype[] = ['F32', 'BF16', 'F16'];

/** Element types that an update may come in: I8 has one float32 scale per {@link INT8_BLOCK} values beside it. */
export type StoredDtype = AveragedDtype | 'I8';

/** Values that share a scale in a block-wise int8 tensor. */
export const INT8_BLOCK = 64;

/** The tensor that holds the scales of int8 tensor `name`: F32, one per {@link INT8_BLOCK} values in row-major order. */
export function scaleName(name: string): string {
  return `${name}.int8_scale`;
}

/** A tensor that a pass reads. */
export interface Operand {
  readonly source: TensorSource;
  readonly name: string;
  readonly dtype: StoredDtype;
}

/** A tensor that a pass writes. */
export interface Result {
  readonly sink: TensorSink;
  readonly name: string;
  readonly dtype: AveragedDtype;
}

export function isAveraged(dtype: string): dtype is AveragedDtype {
  return (AVERAGED_DTYPES as readonly string[]).includes(dtype);
}

/** The specs of a source by name. */
export function specsByName(specs: readonly TensorSpec[]): ReadonlyMap<string, TensorSpec> {
  return new Map(specs.map((spec) => [spec.name, spec]));
}

/** Size of a set of tensors in bytes. */
export function totalBytes(specs: readonly TensorSpec[]): number {
  return specs.reduce((sum, spec) => sum + byteLength(spec), 0);
}
