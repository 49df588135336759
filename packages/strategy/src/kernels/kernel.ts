import { aggregateBlock, type AggregateSpec } from './aggregate.ts';
import type { Block, Scratch } from './block.ts';
import { distancesBlock, type DistancesSpec } from './distances.ts';
import { inspectBlock, type InspectSpec } from './inspect.ts';
import { sumBlock, type SumSpec } from './sum.ts';

/** What is computed for each block; plain data (but for a custom rule), so that it can be sent to a worker thread. */
export type KernelSpec = AggregateSpec | DistancesSpec | InspectSpec | SumSpec;

/** Computes one block in place and returns its partial sums (their meaning is the kernel's). */
export function runKernel(spec: KernelSpec, block: Block, buffer: ArrayBufferLike, scratch: Scratch): Float64Array {
  switch (spec.kind) {
    case 'aggregate':
      return aggregateBlock(spec, block, buffer, scratch);
    case 'distances':
      return distancesBlock(spec, block, buffer, scratch);
    case 'inspect':
      return inspectBlock(block, buffer, scratch);
    case 'sum':
      return sumBlock(spec, block, buffer, scratch);
  }
}
