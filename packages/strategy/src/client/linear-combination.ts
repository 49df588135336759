import { elementCount, InvalidArgumentError, type TensorSource, type TensorSpec } from '@zk0/core';

/** Values that are worked on at a time. */
const CHUNK = 1 << 16;
const BYTES = Float32Array.BYTES_PER_ELEMENT;

/** A set of tensors with its factor; `null` are zeros. */
export type Term = readonly [source: TensorSource | null, factor: number];

/**
 * `Σ factor · source`, computed in float64 where and when it is read, so that no sum of models is ever in memory.
 *
 * @param specs float32 tensors; every source must have them.
 * @throws InvalidArgumentError naming a tensor that a source lacks, or has in another shape or type.
 */
export function linearCombination(specs: readonly TensorSpec[], terms: readonly Term[]): TensorSource {
  const present = terms.flatMap(([source, factor]) => (source === null ? [] : [{ source, factor }]));
  for (const { source } of present) {
    const found = new Map(source.specs.map((spec) => [spec.name, spec]));
    for (const { name, shape } of specs) {
      const spec = found.get(name);
      if (spec?.dtype !== 'F32' || spec.shape.join() !== shape.join()) {
        throw new InvalidArgumentError(`tensor ${name} is missing, or not float32 [${shape.join(', ')}]`);
      }
    }
  }
  const sizes = new Map(specs.map(({ name, shape }) => [name, elementCount(shape)]));
  return {
    specs: specs.map(({ name, shape }) => ({ name, dtype: 'F32', shape })),
    async readBytes(name, byteOffset, into) {
      const size = sizes.get(name);
      const [first, count] = [byteOffset / BYTES, into.byteLength / BYTES];
      if (size === undefined || !Number.isInteger(first) || !Number.isInteger(count) || first < 0 || first + count > size) {
        throw new InvalidArgumentError(`tensor ${name}: ${into.byteLength} bytes from ${byteOffset} on are not values of it`);
      }
      const [sums, values] = [new Float64Array(Math.min(CHUNK, count)), new Float32Array(Math.min(CHUNK, count))];
      for (let done = 0; done < count; done += CHUNK) {
        const part = values.subarray(0, Math.min(CHUNK, count - done));
        const bytes = new Uint8Array(part.buffer, 0, part.byteLength);
        sums.fill(0);
        for (const { source, factor } of present) {
          await source.readBytes(name, byteOffset + done * BYTES, bytes);
          for (let index = 0; index < part.length; index++) sums[index] = sums[index]! + factor * part[index]!;
        }
        part.set(sums.subarray(0, part.length));
        into.set(bytes, done * BYTES);
      }
    },
  };
}

/** The tensors under a prefix, without it. */
export function withoutPrefix(source: TensorSource, prefix: string): TensorSource {
  const inside = source.specs.filter(({ name }) => name.startsWith(prefix));
  return {
    specs: inside.map(({ name, dtype, shape }) => ({ name: name.slice(prefix.length), dtype, shape })),
    readBytes: (name, byteOffset, into) => source.readBytes(`${prefix}${name}`, byteOffset, into),
  };
}
