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

/** Which memory a {@link MemoryTensorSink} writes into. */
export interface MemoryTensorSinkOptions {
  readonly shared?: boolean;
  readonly into?: ReadonlyMap<string, Uint8Array>;
}

/** A {@link TensorSink} into memory that holds its caller to "every byte exactly once". */
export class MemoryTensorSink implements TensorSink {
  readonly specs: readonly TensorSpec[];
  readonly #targets: ReadonlyMap<string, Target>;

  /**
   * @param options `into`: memory that is overwritten, for every tensor; without it the sink takes new memory, `shared` with other
   * threads or not.
   * @throws InvalidArgumentError naming a tensor that `into` lacks or has in another size.
   */
  constructor(specs: readonly TensorSpec[], { shared = false, into }: MemoryTensorSinkOptions = {}) {
    const allocate = (spec: TensorSpec): Uint8Array => {
      const bytes = byteLength(spec);
      if (into === undefined) return new Uint8Array(shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes));
      const present = into.get(spec.name);
      if (present?.byteLength === bytes) return present;
      throw new InvalidArgumentError(`tensor ${spec.name} needs ${bytes} bytes to be written into, not ${present?.byteLength ?? 'none'}`);
    };
    this.specs = [...specs].sort((a, b) => compareNames(a.name, b.name));
    this.#targets = new Map(this.specs.map((spec) => [spec.name, { spec, data: allocate(spec), written: [] }]));
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
