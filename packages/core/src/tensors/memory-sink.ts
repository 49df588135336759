import type { TensorPlace, TensorSink } from '../contracts/tensor-io.ts';
import { InvalidArgumentError } from '../errors.ts';
import { claimRange, coversAll, type ByteRanges } from './byte-ranges.ts';
import { copyBytes } from './copy-bytes.ts';
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

  /** @param options `shared`: in memory that other threads see. */
  constructor(specs: readonly TensorSpec[], { shared = false }: { readonly shared?: boolean } = {}) {
    const allocate = (bytes: number): Uint8Array => (shared ? new Uint8Array(new SharedArrayBuffer(bytes)) : new Uint8Array(bytes));
    this.specs = [...specs].sort((a, b) => compareNames(a.name, b.name));
    this.#targets = new Map(
      this.specs.map((spec) => [spec.name, { spec, data: allocate(byteLength(spec)), written: [] }]),
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
    const isThere = bytes.buffer === target.data.buffer && bytes.byteOffset === target.data.byteOffset + byteOffset;
    if (!isThere) copyBytes(bytes, 0, bytes.byteLength, target.data, byteOffset);
    return Promise.resolve();
  }

  locate(name: string): Extract<TensorPlace, { kind: 'memory' }> {
    const target = this.#targets.get(name);
    if (target === undefined) throw new InvalidArgumentError(`the sink has no tensor named ${name}`);
    return { kind: 'memory', bytes: target.data };
  }

  restart(): void {
    for (const { written } of this.#targets.values()) written.length = 0;
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
