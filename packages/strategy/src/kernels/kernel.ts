import { aggregateBlock, type AggregateSpec } from './aggregate.ts';
import type { Block, Scratch } from './block.ts';
import { inspectBlock, type InspectSpec } from './inspect.ts';

/** What is computed for each block; plain data, so that it can be sent to a worker thread. */
export type KernelSpec = AggregateSpec | InspectSpec;

/** Computes one block in place and returns its partial sums (their meaning is the kernel's). */
export function runKernel(spec: KernelSpec, block: Block, buffer: ArrayBufferLike, scratch: Scratch): Float64Array {
  switch (spec.kind) {
    case 'aggregate':
      return aggregateBlock(spec, block, buffer, scratch);
    case 'inspect':
      return inspectBlock(block, buffer, scratch);
  }
}
