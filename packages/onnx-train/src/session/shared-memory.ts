import { ARRAY_TYPES, type Tensor, type Tensors } from './tensor.ts';

/** A tensor as it goes to another thread: shared memory goes there once, and is named after that. */
export type SentTensor =
  | Tensor
  | {
      readonly dtype: Tensor['dtype'];
      readonly shape: readonly number[];
      /** Which shared memory it lies in. */
      readonly place: number;
      /** The memory itself, where the other thread has not seen it. */
      readonly memory?: SharedArrayBuffer;
      readonly byteOffset: number;
      readonly length: number;
    };

export type SentTensors = Readonly<Record<string, SentTensor>>;

/**
 * Names shared memory for another thread. Every time shared memory crosses, the receiving thread counts it as allocated anew, and
 * collects garbage as if it were: weights and gradients that cross at every training step cost more than the step's messages.
 */
export class SharedMemorySender {
  #places = new WeakMap<SharedArrayBuffer, number>();
  readonly #collected: FinalizationRegistry<number>;
  #next = 0;

  /** @param onForgotten called with each place whose memory this thread has dropped: the other need not keep it either */
  constructor(onForgotten: (place: number) => void) {
    this.#collected = new FinalizationRegistry(onForgotten);
  }

  pack(tensors: Tensors): SentTensors {
    return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, this.#packed(tensor)]));
  }

  /** A message was not sent: what the other thread has seen is unknown. */
  reset(): void {
    this.#places = new WeakMap();
  }

  #packed(tensor: Tensor): SentTensor {
    const { dtype, shape, data } = tensor;
    const { buffer, byteOffset, length } = data;
    if (!(buffer instanceof SharedArrayBuffer)) return tensor;
    const known = this.#places.get(buffer);
    if (known !== undefined) return { dtype, shape, place: known, byteOffset, length };
    const place = this.#next++;
    this.#places.set(buffer, place);
    this.#collected.register(buffer, place);
    return { dtype, shape, place, memory: buffer, byteOffset, length };
  }
}

/** The other end of a {@link SharedMemorySender}. */
export class SharedMemoryReceiver {
  readonly #places = new Map<number, SharedArrayBuffer>();

  unpack(tensors: SentTensors): Tensors {
    return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, this.#unpacked(tensor)]));
  }

  forget(place: number): void {
    this.#places.delete(place);
  }

  #unpacked(tensor: SentTensor): Tensor {
    if (!('place' in tensor)) return tensor;
    const { dtype, shape, place, memory, byteOffset, length } = tensor;
    if (memory !== undefined) this.#places.set(place, memory);
    // All of them take any buffer; TypeScript sees a union of constructors and looks for one common signature.
    const Type = ARRAY_TYPES[dtype] as Float32ArrayConstructor;
    return { dtype, shape, data: new Type(this.#places.get(place)!, byteOffset, length) } as unknown as Tensor;
  }
}
