import type { TensorSink } from '../contracts/tensor-io.ts';
import { InvalidArgumentError } from '../errors.ts';
import { claimRange, coversAll, type ByteRanges } from './byte-ranges.ts';
import { byteLength, compareNames, type TensorSpec } from './dtype.ts';
import { MemoryTensorSource } from './memory-source.ts';

interface Target {
  readonly spec: TensorSpec;
  readonly data: Uint8Array;
  readonly written: ByteRanges;
}

/** A {@link TensorSink} into memory that holds its caller to "every byte exactly once". */
export class MemoryTensorSink implements TensorSink {
  readonly specs: readonly TensorSpec[];
  readonly #targets: ReadonlyMap<string, Target>;

  constructor(specs: readonly TensorSpec[]) {
    this.specs = [...specs].sort((a, b) => compareNames(a.name, b.name));
    this.#targets = new Map(
      this.specs.map((spec) => [spec.name, { spec, data: new Uint8Array(byteLength(spec)), written: [] }]),
    );
    if (this.#targets.size !== specs.length) throw new InvalidArgumentError('two tensors of a sink have the same name');
  }

  writeBytes(name: string, byteOffset: number, bytes: Uint8Array): Promise<void> {
    const target = this.#targets.get(name);
    if (target === undefined) return Promise.reject(new InvalidArgumentError(`the sink has no tensor named ${name}`));
    const end = byteOffset + bytes.byteLength;
    if (byteOffset < 0 || end > target.data.byteLength) {
      return Promise.reject(
        new InvalidArgumentError(`tensor ${name}: bytes ${byteOffset}…${end} of ${target.data.byteLength}`),
      );
    }
    if (!claimRange(target.written, byteOffset, end)) {
      return Promise.reject(new InvalidArgumentError(`tensor ${name}: bytes ${byteOffset}…${end} are written twice`));
    }
    target.data.set(bytes, byteOffset);
    return Promise.resolve();
  }

  /**
   * What was written, as a source over the same memory.
   *
   * @throws InvalidArgumentError naming a tensor with bytes that nobody wrote.
   */
  finish(): MemoryTensorSource {
    for (const { spec, data, written } of this.#targets.values()) {
      if (!coversAll(written, data.byteLength)) throw new InvalidArgumentError(`tensor ${spec.name} was not written completely`);
    }
    return new MemoryTensorSource([...this.#targets.values()].map(({ spec, data }) => ({ ...spec, data })));
  }
}
