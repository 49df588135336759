import { readSegment, resultSegment, SEGMENT, storeSegment, type Block, type Scratch } from './block.ts';
import { addNoise, combineSegment, type Combine, type Noise } from './combine.ts';
import { squaredDistance } from './distances.ts';
import { optimizeSegment, type OptimizerStep } from './optimizers.ts';

/**
 * The last pass of every strategy: combine the clients' values, then take the server optimiser's step.
 *
 * Operands: the global parameters, the optimiser's state (when there is one yet), then what `combine` names.
 * Results: the new parameters, then the optimiser's new state.
 */
export interface AggregateSpec {
  readonly kind: 'aggregate';
  readonly combine: Combine;
  /** Added to the combined values, before the optimiser sees them. */
  readonly noise: Noise | null;
  readonly optimizer: OptimizerStep;
  /** State operands that are there: 0 in the first round. */
  readonly stateCount: number;
}

/** Returns `[values that are not finite, Σ (new − old)²]` of the block. */
export function aggregateBlock(spec: AggregateSpec, block: Block, buffer: ArrayBufferLike, scratch: Scratch): Float64Array {
  let nonFinite = 0;
  let sumOfSquares = 0;
  const [parameters, ...stateResults] = block.results;
  for (let start = 0; start < block.length; start += SEGMENT) {
    const length = Math.min(SEGMENT, block.length - start);
    const global = readSegment(buffer, block.operands[0]!, start, length, scratch.float32(0));
    const combined = combineSegment(spec.combine, block, buffer, start, length, global, scratch);
    if (spec.noise !== null) addNoise(spec.noise, block.tensor, block.offset + start, combined, length);
    const state = block.operands
      .slice(1, 1 + spec.stateCount)
      .map((region, index) => readSegment(buffer, region, start, length, scratch.float32(2 + index)));
    const newState = stateResults.map((region) => new Float32Array(buffer, region.begin + start * 4, length));
    const result = resultSegment(buffer, parameters!, start, length, scratch.float32(1));
    optimizeSegment(spec.optimizer, combined, global, state, result, newState, length);
    const squares = squaredDistance(result, global, length);
    // Finite float32 values cannot make this sum overflow in float64.
    if (!Number.isFinite(squares)) nonFinite += result.reduce((count, value) => count + (Number.isFinite(value) ? 0 : 1), 0);
    sumOfSquares += squares;
    storeSegment(buffer, parameters!, start, result);
  }
  return Float64Array.of(nonFinite, sumOfSquares);
}
