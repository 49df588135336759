import { elementCount } from '@zk0/core';
import { OptimizerArena, sharedTensor, type OptimizerMoments, type Tensor } from '@zk0/onnx-train';
import type { SmolVlaModelConfig } from '../model/config.ts';
import { optimizedSpecs } from '../model/lora.ts';

/** Weights, gradients, and two moments. */
const ARRAYS = 4;

/** Memory up to this size stays for the next round; larger ones take long to train and are worth more to others meanwhile. */
const KEPT_BYTES = 256e6;

/** What a round of training on the processor works in, by what is optimised (trained weights, or their factors): memory that sessions and threads share. */
export interface HostMemory {
  readonly weights: ReadonlyMap<string, Tensor>;
  readonly gradients: ReadonlyMap<string, Tensor>;
  readonly moments: OptimizerMoments;
  /** Where all of it lies; undefined where that is more than one arena holds. */
  readonly arena: OptimizerArena | undefined;
}

/** Keeps what rounds work in from one to the next: short rounds would otherwise spend their time on allocating and collecting it. */
export class HostMemoryPool {
  readonly #config: SmolVlaModelConfig;
  #free: HostMemory[] = [];

  constructor(config: SmolVlaModelConfig) {
    this.#config = config;
  }

  /** Memory that nobody else uses; what it holds is left over from others, and its moments are zero. */
  take(): HostMemory {
    const memory = this.#free.pop();
    if (memory === undefined) return this.#make();
    for (const array of [...Object.values(memory.moments.first), ...Object.values(memory.moments.second)]) array.fill(0);
    return memory;
  }

  giveBack(memory: HostMemory): void {
    const bytes = [...memory.weights.values()].reduce((sum, { data }) => sum + ARRAYS * data.byteLength, 0);
    if (bytes <= KEPT_BYTES) this.#free.push(memory);
  }

  clear(): void {
    this.#free = [];
  }

  #make(): HostMemory {
    const specs = optimizedSpecs(this.#config);
    const all = Array.from({ length: ARRAYS }, () => specs.map(({ shape }) => shape)).flat();
    const arena = OptimizerArena.fits(all.reduce((sum, shape) => sum + elementCount(shape), 0), all.length) ? new OptimizerArena(all) : undefined;
    const make = (shape: readonly number[]): Tensor => arena?.tensor(shape) ?? sharedTensor('float32', shape);
    const tensors = (): Map<string, Tensor> => new Map(specs.map(({ name, shape }) => [name, make(shape)]));
    const arrays = (): Record<string, Float32Array> => Object.fromEntries([...tensors()].map(([name, { data }]) => [name, data as Float32Array]));
    return { weights: tensors(), gradients: tensors(), moments: { first: arrays(), second: arrays() }, arena };
  }
}
