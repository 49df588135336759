import * as ops from '../ops/index.ts';
import { encodeModel } from './encode-model.ts';
import { GraphBuilder } from './graph-builder.ts';
import type { ValueType } from './value.ts';

/** A model whose output `to` is its input `from`: carries a tensor from one memory to another. */
export function identityModel({ dtype, shape }: ValueType): Uint8Array<ArrayBuffer> {
  const graph = new GraphBuilder('copy');
  graph.output('to', ops.identity(graph.input('from', dtype, shape)));
  return encodeModel(graph).bytes;
}
