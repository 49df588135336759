import { GraphError } from '../errors.ts';
import type { Value } from '../graph/value.ts';

/** The numbers of an int64 constant that was an operator's argument (axes, sizes). */
export function constantNumbers(value: Value): number[] {
  const data = value.graph.initializers.get(value);
  if (data === undefined || !('bytes' in data) || value.dtype !== 'int64') {
    throw new GraphError(`${value.name} is not an int64 constant`);
  }
  const { buffer, byteOffset, byteLength } = data.bytes;
  return Array.from(new BigInt64Array(buffer, byteOffset, byteLength / 8), Number);
}
