import { elementCount, lowRankRow, sameShape, type TensorSource, type TensorSpec } from '@zk0/core';
import { UpdateRejectedError } from './errors.ts';

/** How the factors of an update make its change: `alpha / rank · B · A`. */
export interface Factoring {
  readonly rank: number;
  readonly alpha: number;
}

/** The factors of one parameter, read when first asked for. */
interface Factors {
  /** [rank, in] */
  readonly a: Float32Array;
  /** [out, rank] */
  readonly b: Float32Array;
}

/**
 * An update that came as factors of low rank (LoRA), read as the change of the parameters that they make: for every parameter
 * `<module>.weight` [out, in], `alpha / rank · B · A` of `<module>.lora_B.weight` [out, rank] and `<module>.lora_A.weight` [rank, in].
 *
 * Strategies see the products, never the factors: a mean of factors is not the factors of the mean. Products are summed in float64 and
 * rounded to float32 once, where and when they are read; beside the factors of one parameter nothing is held. Give it to a strategy as
 * `kind: 'delta'`.
 */
export class FactoredUpdate implements TensorSource {
  readonly specs: readonly TensorSpec[];
  readonly #source: TensorSource;
  readonly #scale: number;
  readonly #rank: number;
  #held: { readonly name: string; readonly factors: Promise<Factors> } | undefined;

  /**
   * @param source the factors as they came
   * @param parameters the parameters that they change
   * @throws UpdateRejectedError naming client and tensor, for factors that are missing, left over, or of another shape or type
   */
  constructor(clientId: string, source: TensorSource, parameters: readonly TensorSpec[], { rank, alpha }: Factoring) {
    const found = new Map(source.specs.map((spec) => [spec.name, spec]));
    const wanted = parameters.flatMap((spec) => factorSpecs(spec, rank));
    for (const spec of wanted) {
      const tensor = found.get(spec.name);
      if (tensor === undefined) {
        throw new UpdateRejectedError('UPDATE_MISSING_TENSOR', clientId, 'the run trains factors of low rank, and the update does not have this one', {
          tensor: spec.name,
          hint: 'Run the same zk0 release on both sides.',
        });
      }
      if (!sameShape(tensor.shape, spec.shape)) {
        throw new UpdateRejectedError('UPDATE_WRONG_SHAPE', clientId, `shape [${tensor.shape.join(', ')}], not [${spec.shape.join(', ')}]`, { tensor: spec.name });
      }
      if (tensor.dtype !== 'F32') throw new UpdateRejectedError('UPDATE_WRONG_DTYPE', clientId, `${tensor.dtype}, not F32`, { tensor: spec.name });
    }
    const names = new Set(wanted.map(({ name }) => name));
    const stranger = source.specs.find(({ name }) => !names.has(name));
    if (stranger !== undefined) {
      throw new UpdateRejectedError('UPDATE_UNKNOWN_TENSOR', clientId, 'it is no factor of a parameter', { tensor: stranger.name });
    }
    this.specs = parameters.map(({ name, shape }) => ({ name, dtype: 'F32', shape }));
    this.#source = source;
    this.#rank = rank;
    this.#scale = alpha / rank;
  }

  async readBytes(name: string, byteOffset: number, into: Uint8Array): Promise<void> {
    const spec = this.specs.find((one) => one.name === name);
    if (spec === undefined || byteOffset < 0 || byteOffset + into.byteLength > 4 * elementCount(spec.shape)) {
      throw new RangeError(`bytes ${byteOffset} to ${byteOffset + into.byteLength} of ${name} are not there`);
    }
    if (into.byteLength === 0) return;
    const { a, b } = await this.#factorsOf(spec);
    const columns = spec.shape[1]!;
    const [first, last] = [Math.floor(byteOffset / 4), Math.ceil((byteOffset + into.byteLength) / 4)];
    const values = new Float32Array(last - first);
    const row = new Float64Array(columns);
    for (let at = Math.floor(first / columns); at * columns < last; at++) {
      lowRankRow(a, b, this.#rank, at, row);
      const begin = Math.max(first, at * columns);
      const end = Math.min(last, (at + 1) * columns);
      for (let index = begin; index < end; index++) values[index - first] = this.#scale * row[index - at * columns]!;
    }
    into.set(new Uint8Array(values.buffer, byteOffset - 4 * first, into.byteLength));
  }

  #factorsOf(spec: TensorSpec): Promise<Factors> {
    if (this.#held?.name !== spec.name) {
      const [a, b] = factorSpecs(spec, this.#rank).map((factor) => this.#read(factor)) as [Promise<Float32Array>, Promise<Float32Array>];
      this.#held = { name: spec.name, factors: Promise.all([a, b]).then(([left, right]) => ({ a: left, b: right })) };
      this.#held.factors.catch(() => (this.#held = undefined));
    }
    return this.#held.factors;
  }

  async #read({ name, shape }: TensorSpec): Promise<Float32Array> {
    const values = new Float32Array(elementCount(shape));
    await this.#source.readBytes(name, 0, new Uint8Array(values.buffer));
    return values;
  }
}

/** A and B of a parameter, as an update names and shapes them. */
function factorSpecs({ name, shape }: TensorSpec, rank: number): readonly [TensorSpec, TensorSpec] {
  const [outputs, inputs] = shape;
  const module = name.replace(/\.weight$/, '');
  return [
    { name: `${module}.lora_A.weight`, dtype: 'F32', shape: [rank, inputs ?? 0] },
    { name: `${module}.lora_B.weight`, dtype: 'F32', shape: [outputs ?? 0, rank] },
  ];
}
