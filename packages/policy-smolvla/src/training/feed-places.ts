import { sharedTensor, type Tensor } from '@zk0/onnx-train';

/** Type and shape of a tensor that is fed. */
export type FeedSpec = Pick<Tensor, 'dtype' | 'shape'>;

/**
 * Memory for the batches of a round, in turn: while a run reads one batch, the next is read into the other. A place that is given out
 * again loses what it held.
 */
export class FeedPlaces {
  readonly #places: Record<string, Tensor>[];
  #turn = 0;

  /** @param count batches that are in use at one time */
  constructor(count: number) {
    this.#places = Array.from({ length: count }, () => ({}));
  }

  /** Tensors by name, in shared memory, with leftovers in them. */
  next<Name extends string>(specs: Readonly<Record<Name, FeedSpec>>): Record<Name, Tensor> {
    const place = this.#places[this.#turn++ % this.#places.length]!;
    for (const [name, { dtype, shape }] of Object.entries<FeedSpec>(specs)) {
      const known = place[name];
      const fits = known?.dtype === dtype && known.shape.length === shape.length && known.shape.every((size, axis) => size === shape[axis]);
      if (!fits) place[name] = sharedTensor(dtype, shape);
    }
    return Object.fromEntries(Object.keys(specs).map((name) => [name, place[name]!])) as Record<Name, Tensor>;
  }
}
