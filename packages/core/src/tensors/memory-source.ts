import type { TensorPlace, TensorSource } from '../contracts/tensor-io.ts';
import { InvalidArgumentError } from '../errors.ts';
import { copyBytes } from './copy-bytes.ts';
import { byteLength, compareNames, type TensorSpec } from './dtype.ts';
import type { Parameters } from './parameters.ts';
import type { TensorBytes } from './safetensors.ts';

/** A {@link TensorSource} over tensors that are in memory already. */
export class MemoryTensorSource implements TensorSource {
  readonly specs: readonly TensorSpec[];
  readonly #data: ReadonlyMap<string, Uint8Array>;

  constructor(tensors: Iterable<TensorBytes>) {
    const sorted = [...tensors].sort((a, b) => compareNames(a.name, b.name));
    this.specs = sorted.map(({ name, dtype, shape }) => ({ name, dtype, shape }));
    this.#data = new Map(sorted.map(({ name, data }) => [name, data]));
    for (const spec of this.specs) {
      if (this.#data.get(spec.name)!.byteLength !== byteLength(spec)) {
        throw new InvalidArgumentError(`tensor ${spec.name}: data and shape [${spec.shape.join(', ')}] disagree`);
      }
    }
  }

  /** A source over float32 parameters; the data are not copied. */
  static fromParameters(parameters: Parameters): MemoryTensorSource {
    return new MemoryTensorSource(
      [...parameters].map(([name, { shape, data }]) => ({
        name,
        dtype: 'F32' as const,
        shape,
        data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      })),
    );
  }

  locate(name: string): Extract<TensorPlace, { kind: 'memory' }> {
    const bytes = this.#data.get(name);
    if (bytes === undefined) throw new InvalidArgumentError(`no tensor named ${name}`);
    return { kind: 'memory', bytes };
  }

  readBytes(name: string, byteOffset: number, into: Uint8Array): Promise<void> {
    const data = this.#data.get(name);
    if (data === undefined) return Promise.reject(new InvalidArgumentError(`no tensor named ${name}`));
    if (byteOffset < 0 || byteOffset + into.byteLength > data.byteLength) {
      return Promise.reject(
        new InvalidArgumentError(`tensor ${name}: bytes ${byteOffset}…${byteOffset + into.byteLength} of ${data.byteLength}`),
      );
    }
    copyBytes(data, byteOffset, byteOffset + into.byteLength, into, 0);
    return Promise.resolve();
  }
}
