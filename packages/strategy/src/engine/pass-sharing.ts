import { partialLength } from '../kernels/kernel.ts';
import { dataBytes } from '../kernels/layout.ts';
import type { Executor } from './executor.ts';
import { blocksOf, runBlocks, runPass, type Pass, type PassRunner, type Plan } from './pass.ts';

/** What the first blocks of a pass left. */
export interface PassSums {
  /** How many blocks; fewer than the pass has where it ended in the middle. */
  readonly blocks: number;
  /** The sums of each block, one after the other. */
  readonly sums: Float64Array;
}

/** One pass of an aggregation as those see it who share it out. Its blocks are the same wherever they are computed. */
export interface SharedPass {
  /** Which pass of the aggregation it is, from 0. */
  readonly index: number;
  readonly blocks: number;
  /** How many float64 sums each block leaves. */
  readonly sumsPerBlock: number;
  /** Bytes that the whole pass reads. */
  readonly bytesRead: number;
  /** The sums of the passes before it: what this pass depends on beside the aggregation's input. */
  readonly earlier: readonly PassSums[];
  /**
   * Computes blocks `from` to `to` (exclusive) here.
   *
   * @param write is given the results of each block in order, with their position in the part's results; what it is given holds until it resolves.
   * @returns the sums of each block, one after the other.
   */
  compute(from: number, to: number, write: (bytes: Uint8Array, position: number) => Promise<void>): Promise<Float64Array>;
}

/** What was computed of a pass. */
export interface PassPart extends PassSums {
  /** Fills `into` with its results from a position on; `null` where only the sums are wanted again. */
  readonly read: ((into: Uint8Array, position: number) => Promise<void>) | null;
}

/** Has passes computed in parts, in several processes for instance: nothing of it changes a bit of the result. */
export interface PassSharing {
  /**
   * @returns the parts, in the order of their blocks, which together are the pass; `null`: it is computed here.
   * @throws whatever ends the aggregation.
   */
  share(pass: SharedPass): Promise<AsyncIterable<PassPart> | null>;
}

/** A runner that asks first whether a pass is shared out. Sums are reduced in the order of the blocks, as one process would. */
export function sharedPasses(executor: Executor, signal: AbortSignal | undefined, sharing: PassSharing): PassRunner {
  const earlier: PassSums[] = [];
  return async (pass) => {
    const plans = [...blocksOf(pass)];
    const sumsPerBlock = partialLength(pass.kernel);
    const sums = new Float64Array(plans.length * sumsPerBlock);
    let reduced = 0;
    const reduce: Pass['reduce'] = (partial, block) => {
      sums.set(partial, reduced++ * sumsPerBlock);
      pass.reduce?.(partial, block);
    };
    const parts = await sharing.share({
      index: earlier.length,
      blocks: plans.length,
      sumsPerBlock,
      bytesRead: plans.reduce((total, { operands, length }) => total + operands.reduce((all, { dtype }) => all + dataBytes(dtype, length), 0), 0),
      earlier: [...earlier],
      compute: (from, to, write) => computePart(pass, executor, signal, from, to, write),
    });
    try {
      if (parts === null) await runPass({ ...pass, reduce }, executor, signal);
      else await assemble(plans, sumsPerBlock, parts, reduce);
    } finally {
      // Of a pass that ended in the middle, those that led to its end.
      earlier.push({ blocks: reduced, sums: sums.subarray(0, reduced * sumsPerBlock) });
    }
  };
}

async function computePart(
  pass: Pass,
  executor: Executor,
  signal: AbortSignal | undefined,
  from: number,
  to: number,
  write: (bytes: Uint8Array, position: number) => Promise<void>,
): Promise<Float64Array> {
  const sumsPerBlock = partialLength(pass.kernel);
  const sums = new Float64Array((to - from) * sumsPerBlock);
  // Results go to the part alone: not where their sinks would have them.
  const results: Pass['results'] = (tensor) => (pass.results?.(tensor) ?? []).map((result) => ({ ...result, sink: { specs: result.sink.specs, writeBytes: () => Promise.resolve() } }));
  let [taken, position] = [0, 0];
  await runBlocks({ ...pass, results }, executor, signal, {
    from,
    to,
    take: async (partial, _plan, bytes) => {
      sums.set(partial, taken++ * sumsPerBlock);
      const at = bytes.map((piece) => (position += piece.byteLength) - piece.byteLength);
      await Promise.all(bytes.map((piece, index) => write(piece, at[index]!)));
    },
  });
  return sums;
}

async function assemble(plans: readonly Plan[], sumsPerBlock: number, parts: AsyncIterable<PassPart>, reduce: NonNullable<Pass['reduce']>): Promise<void> {
  let at = 0;
  for await (const { blocks, sums, read } of parts) {
    let position = 0;
    for (const [index, { tensor, offset, length, results }] of plans.slice(at, at + blocks).entries()) {
      reduce(sums.subarray(index * sumsPerBlock, (index + 1) * sumsPerBlock), { tensor: tensor.name, offset });
      for (const { sink, name, dtype } of read === null ? [] : results) {
        const bytes = new Uint8Array(dataBytes(dtype, length));
        await read!(bytes, position);
        position += bytes.byteLength;
        await sink.writeBytes(name, dataBytes(dtype, offset), bytes);
      }
    }
    at += blocks;
  }
  if (at !== plans.length) throw new TypeError(`parts of ${at} blocks for a pass of ${plans.length}`);
}
