import type { DataType } from '../graph/data-type.ts';
import type { Value } from '../graph/value.ts';
import { cast } from './elementwise.ts';

/** Operators that only give elements other places, so that a cast before them is the same as one behind. */
const PLACING: readonly string[] = ['Reshape', 'Transpose', 'Squeeze', 'Unsqueeze', 'Concat'];

/**
 * A float32 value rounded to a 16-bit type. Where it was widened from that type and only moved since, it is moved in
 * 16 bits instead: the same numbers, without going through memory in 32.
 */
export function narrowed(x: Value, dtype: DataType): Value {
  return withoutWidening(x, dtype) ?? cast(x, dtype);
}

function withoutWidening(x: Value, dtype: DataType): Value | undefined {
  const node = x.producer;
  if (node === undefined) return undefined;
  if (node.opType === 'Cast') return node.inputs[0]!.dtype === dtype ? node.inputs[0] : undefined;
  if (!PLACING.includes(node.opType)) return undefined;
  const count = node.opType === 'Concat' ? node.inputs.length : 1;
  const sources = node.inputs.slice(0, count).map((input) => withoutWidening(input!, dtype));
  if (sources.every((source) => source === undefined)) return undefined;
  const inputs = node.inputs.map((input, index) => (index < count ? (sources[index] ?? cast(input!, dtype)) : input));
  return x.graph.node(node.opType, inputs, [{ dtype, shape: x.shape }], node.attributes)[0];
}
