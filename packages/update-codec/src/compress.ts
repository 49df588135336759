import { setImmediate as breathe } from 'node:timers/promises';
import { elementCount, type TensorBytes, type TensorSource, type TensorSpec } from '@zk0/core';
import { packNibbles, roundToSteps, type CodeFit } from './blocks.ts';
import { blockCount, COARSE_BLOCK, codeBytes, COMPRESSED_BITS, matrixOf, maxRank, PIECE, scalesName } from './container.ts';
import { nonFinite } from './errors.ts';
import { compress, PartWriter } from './frames.ts';
import { LowRankReader, takeLowRank, type LowRank } from './low-rank.ts';
import { stepFor } from './step.ts';
import { readValues } from './value-source.ts';

/** Larger values are refused, so that sums of products stay far from the largest float32. */
const MAX_COMPRESSED = 2 ** 100;
/** Repetitions of fewer bytes, 14 codes, are by chance, and cost more than the Huffman codes of these bytes. */
const MIN_MATCH = 7;
/** A tensor with more values has no low-rank part: it would have to be in memory as a whole. */
const MAX_MATRIX = 2 ** 24;
/** Blocks that the step follows from, at most about. */
const SAMPLE = 1024;

/** What the first pass over a tensor finds. */
interface Outline {
  readonly spec: TensorSpec;
  readonly lowRank: LowRank;
  /** The codes of the low-rank part, compressed. */
  readonly factors: Uint8Array;
  /** Root of the mean square of its values: its step is a share of that, the same one in all tensors. */
  readonly size: number;
  /** Some blocks of what the low-rank part leaves: the step follows from them. */
  readonly sampled: readonly Float64Array[];
}

/**
 * Encodes a difference as `compressed`: what a few components describe of each matrix, and coarse codes of what they leave, with such steps that
 * all of it takes {@link COMPRESSED_BITS} a value.
 *
 * @param source the difference; it is read twice.
 */
export async function compressDifference(source: TensorSource): Promise<TensorBytes[]> {
  const blocks = source.specs.reduce((sum, { shape }) => sum + blockCount('compressed', elementCount(shape)), 0);
  const every = Math.ceil(blocks / SAMPLE);
  const outlines: Outline[] = [];
  let seen = 0;
  for (const spec of source.specs) {
    const before = seen;
    outlines.push(await outline(spec, source, (block) => (before + block) % every === 0));
    seen += blockCount('compressed', elementCount(spec.shape));
    await breathe();
  }
  const values = outlines.reduce((sum, { spec }) => sum + elementCount(spec.shape), 0);
  const factorBits = 8 * outlines.reduce((sum, { factors }) => sum + factors.byteLength, 0);
  const sample = outlines.flatMap(({ sampled, size }) => sampled.map((block) => (size === 0 ? block : block.map((value) => value / size))));
  const share = stepFor(sample, COMPRESSED_BITS - factorBits / values);
  const tensors: TensorBytes[] = [];
  for (const one of outlines) {
    tensors.push(...(await encodeTensor(one, source, share * one.size)));
    await breathe();
  }
  return tensors;
}

/** @param isSampled whether a block of the tensor is one that the step follows from */
async function outline(spec: TensorSpec, source: TensorSource, isSampled: (block: number) => boolean): Promise<Outline> {
  const { name, shape } = spec;
  const count = elementCount(shape);
  const rank = count <= MAX_MATRIX ? maxRank(shape) : 0;
  const sampled: Float64Array[] = [];
  const sample = (values: Float32Array, first: number): void => {
    for (let begin = 0; begin < values.length; begin += COARSE_BLOCK) {
      if (isSampled((first + begin) / COARSE_BLOCK)) sampled.push(Float64Array.from(values.subarray(begin, begin + COARSE_BLOCK)));
    }
  };
  const values = new Float32Array(rank > 0 ? count : Math.min(PIECE, count));
  let squares = 0;
  for (let first = 0; first < count; first += PIECE) {
    const length = Math.min(PIECE, count - first);
    const begin = rank > 0 ? first : 0;
    const piece = values.subarray(begin, begin + length);
    await readValues(source, name, first, piece);
    for (let index = 0; index < length; index++) {
      if (!(Math.abs(piece[index]!) <= MAX_COMPRESSED)) throw nonFinite(name, first + index, 'compressed');
      squares += piece[index]! ** 2;
    }
    if (rank === 0) sample(piece, first);
  }
  const lowRank = await takeLowRank(values, matrixOf(shape), rank);
  // Of what the low-rank part leaves.
  if (rank > 0) sample(values, 0);
  const packed = new Uint8Array(codeBytes('int4', lowRank.codes.length));
  packNibbles(lowRank.codes, packed);
  return { spec, lowRank, factors: compress(packed, MIN_MATCH), size: count === 0 ? 0 : Math.sqrt(squares / count), sampled };
}

async function encodeTensor({ spec: { name, shape }, lowRank, factors }: Outline, source: TensorSource, step: number): Promise<readonly TensorBytes[]> {
  const count = elementCount(shape);
  const length = Math.min(PIECE, count);
  const [values, changes, common] = [new Float32Array(length), new Float64Array(length), new Float64Array(length)];
  const codes = new Int8Array(length);
  const fit: CodeFit = { products: 0, squares: 0 };
  const reader = new LowRankReader(lowRank);
  const parts = new PartWriter();
  parts.add(factors);
  for (let first = 0; first < count; first += PIECE) {
    const own = Math.min(PIECE, count - first);
    const piece = changes.subarray(0, own);
    await readValues(source, name, first, values.subarray(0, own));
    reader.read(first, common.subarray(0, own));
    for (let index = 0; index < own; index++) piece[index] = values[index]! - common[index]!;
    const packed = new Uint8Array(codeBytes('compressed', own));
    const exponents = blockCount('compressed', own);
    roundToSteps(piece, step, codes.subarray(0, own), packed.subarray(0, exponents), fit);
    packNibbles(codes.subarray(0, own), packed.subarray(exponents));
    parts.add(compress(packed, MIN_MATCH));
  }
  const scales = Float32Array.of(fit.squares === 0 ? 0 : fit.products / fit.squares, ...lowRank.gains);
  return [...parts.tensors(name), { name: scalesName(name), dtype: 'F32', shape: [scales.length], data: new Uint8Array(scales.buffer) }];
}
