import type { TensorSink, TensorSpec } from '@zk0/core';
import type { AggregationInput, AggregationOptions, Strategy } from './contract.ts';
import type { PassSharing, PassSums } from './engine/pass-sharing.ts';

/** Which blocks a pass has, and what they leave: a process of another version cannot compute a part of the same aggregation. */
export const PART_VERSION = 1;

/** Which part of an aggregation is computed. */
export interface PartOptions extends Pick<AggregationOptions, 'signal' | 'workers'> {
  /** Which pass, from 0. */
  readonly pass: number;
  /** Its blocks `from` to `to`, exclusive. */
  readonly from: number;
  readonly to: number;
  /** What the passes before it left. */
  readonly earlier: readonly PassSums[];
  /** Gets the results of each block in order, with their position in the part's results; what it is given holds until it resolves. */
  readonly write: (bytes: Uint8Array, position: number) => Promise<void>;
}

/** The aggregation has got to the part, and needs to go no further. */
class PartComputed extends Error {
  readonly sums: Float64Array;

  constructor(sums: Float64Array) {
    super('the part is computed');
    this.sums = sums;
  }
}

/**
 * Computes a part of what {@link Strategy.aggregate} computes for the same input, in another process. The aggregation is repeated up to
 * the part: what is read is read for the part alone, for the passes before it left their sums.
 *
 * @returns the sums of the part's blocks, one after the other.
 * @throws what the aggregation throws before it gets to the part; TypeError for a part that it does not have.
 */
export async function computePart(strategy: Strategy, input: AggregationInput, { pass, from, to, earlier, write, ...options }: PartOptions): Promise<Float64Array> {
  const sharing: PassSharing = {
    share: async (shared) => {
      const known = earlier[shared.index];
      if (shared.index < pass && known !== undefined) return only({ ...known, read: null });
      if (shared.index !== pass || from < 0 || from >= to || to > shared.blocks) throw new TypeError(`pass ${pass} of the aggregation has no blocks ${from} to ${to}`);
      throw new PartComputed(await shared.compute(from, to, write));
    },
  };
  const states = strategy.stateSpecs(input.global.specs);
  const output = { parameters: unused(input.global.specs), state: states.length === 0 ? null : unused(states) };
  try {
    await strategy.aggregate(input, output, { ...options, sharing });
  } catch (error) {
    if (error instanceof PartComputed) return error.sums;
    throw error;
  }
  throw new TypeError(`the aggregation has no pass ${pass}`);
}

async function* only<T>(value: T): AsyncGenerator<T> {
  yield await Promise.resolve(value);
}

/** Where nothing is written: it can be written again like what it stands for, because the aggregation goes other ways where that cannot be. */
function unused(specs: readonly TensorSpec[]): TensorSink {
  return { specs, writeBytes: () => Promise.resolve(), restart: () => undefined };
}
