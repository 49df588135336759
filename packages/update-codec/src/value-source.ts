import { elementCount, InvalidArgumentError, type TensorSource, type TensorSpec } from '@zk0/core';
import { PIECE } from './container.ts';

const BYTES = Float32Array.BYTES_PER_ELEMENT;

/** Computes values `first` to `first + values.length` of a tensor, at most {@link PIECE} at a time. */
export type FillValues = (tensor: TensorSpec, first: number, values: Float32Array) => Promise<void>;

/** Float32 tensors that are computed where and when they are read, so that none is in memory as a whole. */
export function valueSource(specs: readonly TensorSpec[], fill: FillValues): TensorSource {
  const byName = new Map(specs.map((spec) => [spec.name, spec]));
  return {
    specs: specs.map(({ name, shape }) => ({ name, dtype: 'F32', shape })),
    async readBytes(name, byteOffset, into) {
      const spec = byName.get(name);
      const [first, count] = [byteOffset / BYTES, into.byteLength / BYTES];
      if (spec === undefined || !Number.isInteger(first) || !Number.isInteger(count) || first < 0 || first + count > elementCount(spec.shape)) {
        throw new InvalidArgumentError(`tensor ${name}: ${into.byteLength} bytes from ${byteOffset} on are not values of it`);
      }
      const isAligned = into.byteOffset % BYTES === 0;
      const values = isAligned ? new Float32Array(into.buffer, into.byteOffset, count) : new Float32Array(count);
      for (let done = 0; done < count; done += PIECE) await fill(spec, first + done, values.subarray(done, Math.min(count, done + PIECE)));
      if (!isAligned) into.set(new Uint8Array(values.buffer));
    },
  };
}

/** Reads float32 values of a source. */
export async function readValues(source: TensorSource, name: string, first: number, into: Float32Array): Promise<void> {
  await source.readBytes(name, first * BYTES, new Uint8Array(into.buffer, into.byteOffset, into.byteLength));
}
