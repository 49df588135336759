import type * as Ort from 'onnxruntime-node';
import { SessionError } from '../errors.ts';
import type { ValueType } from '../graph/value.ts';
import { ort } from './ort.ts';
import { fromOrt, toOrt } from './ort-tensor.ts';
import { checkTensor, type Tensor, type Tensors } from './tensor.ts';

/** Inputs that a session keeps, each with the output that takes its place after a run; `null` where it stays as it is. */
export type StateMap = Readonly<Record<string, string | null>>;

/** Where tensors of a session's state lie: in the GPU's memory, or in the processor's. */
export type StateLocation = 'gpu-buffer' | 'cpu';

/**
 * Values that stay with a session between runs, on its device where onnxruntime-node can hold them there (WebGPU).
 *
 * A tensor on the device must never be asked for its data: version 1.30.0 aborts the process. It is read by a model of
 * one `Identity` whose output lies in the processor's memory, and written by one whose output lies on the device.
 */
export class ResidentState {
  readonly #map: StateMap;
  readonly #types: ReadonlyMap<string, ValueType>;
  readonly #location: StateLocation;
  readonly #settings: Ort.InferenceSession.SessionOptions;
  readonly #tensors = new Map<string, Ort.Tensor>();
  readonly #copiers = new Map<string, Promise<Ort.InferenceSession>>();

  /**
   * @param types the session's inputs.
   * @param settings with which the session itself was made: device and threads.
   */
  constructor(
    map: StateMap,
    types: ReadonlyMap<string, ValueType>,
    location: StateLocation,
    settings: Ort.InferenceSession.SessionOptions,
  ) {
    this.#map = map;
    this.#types = types;
    this.#location = location;
    this.#settings = settings;
  }

  /** The outputs that become the next run's inputs. */
  get outputs(): readonly string[] {
    return Object.values(this.#map).filter((output) => output !== null);
  }

  async load(tensors: Tensors): Promise<void> {
    for (const [name, tensor] of Object.entries(tensors)) {
      const type = this.#types.get(name);
      if (type === undefined || !Object.hasOwn(this.#map, name)) throw notState(name);
      checkTensor(`state ${name}`, tensor, type);
      const fresh = this.#location === 'cpu' ? toOrt(copyOf(tensor)) : await this.#copy(name, toOrt(tensor), 'gpu-buffer');
      this.#replace(name, fresh);
    }
  }

  async read(names: readonly string[]): Promise<Record<string, Tensor>> {
    const found: Record<string, Tensor> = {};
    for (const name of names) {
      const tensor = this.#get(name);
      found[name] = this.#location === 'cpu' ? copyOf(fromOrt(tensor)) : fromOrt(await this.#copy(name, tensor, 'cpu'));
    }
    return found;
  }

  /** The state as inputs of a run. */
  feeds(): Record<string, Ort.Tensor> {
    return Object.fromEntries(Object.keys(this.#map).map((name) => [name, this.#get(name)]));
  }

  /** Puts a run's outputs in the place of what they were made from, or throws them away. */
  take(results: Readonly<Record<string, Ort.Tensor>>, isGood: boolean): void {
    for (const [name, output] of Object.entries(this.#map)) {
      if (output === null) continue;
      if (isGood) this.#replace(name, results[output]!);
      else results[output]!.dispose();
    }
  }

  async release(): Promise<void> {
    for (const tensor of this.#tensors.values()) tensor.dispose();
    this.#tensors.clear();
    for (const copier of this.#copiers.values()) await (await copier).release();
  }

  #get(name: string): Ort.Tensor {
    if (!Object.hasOwn(this.#map, name)) throw notState(name);
    const tensor = this.#tensors.get(name);
    if (tensor !== undefined) return tensor;
    throw new SessionError('RUN_FAILED', `the session's state has no ${name} yet`, { hint: 'Set it with setState.' });
  }

  #replace(name: string, tensor: Ort.Tensor): void {
    this.#tensors.get(name)?.dispose();
    this.#tensors.set(name, tensor);
  }

  /** A copy of a tensor in the other memory. */
  async #copy(name: string, tensor: Ort.Tensor, to: StateLocation): Promise<Ort.Tensor> {
    const { dtype, shape } = this.#types.get(name)!;
    const key = `${dtype} ${shape.join()} ${to}`;
    let copier = this.#copiers.get(key);
    if (copier === undefined) {
      // Loaded where a device has a memory of its own: without what writes graphs, the thread of a session starts in half the time.
      copier = import('../graph/identity-model.ts').then(({ identityModel }) =>
        ort.InferenceSession.create(identityModel({ dtype, shape }), { ...this.#settings, extra: {}, preferredOutputLocation: { to } }),
      );
      this.#copiers.set(key, copier);
    }
    return (await (await copier).run({ from: tensor }))['to']!;
  }
}

function notState(name: string): SessionError {
  return new SessionError('RUN_FAILED', `${name} is not part of the session's state`);
}

function copyOf(tensor: Tensor): Tensor {
  return { ...tensor, data: tensor.data.slice() } as Tensor;
}
