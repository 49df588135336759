import { elementCount, Random, type TensorSource } from '@zk0/core';
import type { ClientUpdate } from '@zk0/strategy';

/** Values of each update that are looked at: of more, a sample of one stretch of each tensor, the same for all clients. */
const MAX_VALUES = 2 ** 18;

/**
 * The cosine of the angle between each update and the mean of all updates, weighted by examples: near 1 where clients agree, near 0 where a
 * client learns something else, below 0 where it works against the others. The updates are those that arrived, before the strategy weighed,
 * clipped or left out any. Of large parameters a sample tells it to about 0.01.
 *
 * @param global the parameters that updates without a base of their own are compared with
 * @returns by client; clients whose update does not move anything are not in it. Empty for fewer than two updates, and where they are not of float32.
 */
export async function updateCosines(updates: readonly ClientUpdate[], global: TensorSource, seed: string): Promise<Record<string, number>> {
  if (updates.length < 2 || [global, ...updates.map(({ tensors }) => tensors)].some(({ specs }) => specs.some(({ dtype }) => dtype !== 'F32'))) return {};
  const stretches = sample(global, seed);
  const length = stretches.reduce((sum, { count }) => sum + count, 0);
  const moves: Float32Array[] = [];
  const mean = new Float64Array(length);
  const examples = updates.reduce((sum, { numExamples }) => sum + numExamples, 0);
  const bases = new Map<TensorSource, Promise<Float32Array>>();
  const baseOf = (source: TensorSource): Promise<Float32Array> => {
    const known = bases.get(source) ?? read(source, stretches, length);
    bases.set(source, known);
    return known;
  };
  for (const { tensors, kind, base, numExamples } of updates) {
    const move = await read(tensors, stretches, length);
    if (kind !== 'delta') {
      const from = await baseOf(base ?? global);
      for (let index = 0; index < length; index++) move[index]! -= from[index]!;
    }
    for (let index = 0; index < length; index++) mean[index]! += (move[index]! * numExamples) / examples;
    moves.push(move);
  }
  const meanNorm = Math.sqrt(dot(mean, mean));
  return Object.fromEntries(
    updates.flatMap(({ clientId }, index): [string, number][] => {
      const move = moves[index]!;
      const cosine = dot(move, mean) / (Math.sqrt(dot(move, move)) * meanNorm);
      return Number.isFinite(cosine) ? [[clientId, Math.min(1, Math.max(-1, cosine))]] : [];
    }),
  );
}

/** A part of one tensor: `count` values from `first` on. */
interface Stretch {
  readonly name: string;
  readonly first: number;
  readonly count: number;
}

function sample({ specs }: TensorSource, seed: string): Stretch[] {
  const random = new Random(seed);
  const sizes = specs.map(({ shape }) => elementCount(shape));
  const share = Math.min(1, MAX_VALUES / sizes.reduce((sum, size) => sum + size, 0));
  return specs.map(({ name }, index) => {
    const size = sizes[index]!;
    const count = Math.ceil(size * share);
    return { name, first: Math.floor(random.uniform() * (size - count + 1)), count };
  });
}

async function read(source: TensorSource, stretches: readonly Stretch[], length: number): Promise<Float32Array> {
  const values = new Float32Array(length);
  let at = 0;
  for (const { name, first, count } of stretches) {
    await source.readBytes(name, first * 4, new Uint8Array(values.buffer, at * 4, count * 4));
    at += count;
  }
  return values;
}

function dot(a: Float32Array | Float64Array, b: Float32Array | Float64Array): number {
  let sum = 0;
  for (let index = 0; index < a.length; index++) sum += a[index]! * b[index]!;
  return sum;
}
