import { byteLength, MemoryTensorSource, type KeptOptimizer, type OptimizerState, type TensorSource } from '@zk0/core';

interface StateInMemory extends OptimizerState {
  readonly moments: MemoryTensorSource;
}

/** A fit's state of the optimiser, and what the fit has left. */
export interface TestOptimizer extends KeptOptimizer {
  after?: StateInMemory;
}

/** An optimiser's state in memory: what a fit leaves is copied, as the memory that it lies in is not the keeper's. */
export function keptOptimizer(state: OptimizerState | null): TestOptimizer {
  const kept: TestOptimizer = {
    state,
    keep: async ({ stepsTaken, moments }) => {
      if (kept.after !== undefined) throw new Error('kept twice');
      const tensors = [];
      for (const spec of moments.specs) tensors.push({ ...spec, data: await bytesOf(moments, spec.name) });
      kept.after = { stepsTaken, moments: new MemoryTensorSource(tensors) };
    },
  };
  return kept;
}

/** All values of a source of float32 tensors, in its order. */
export async function valuesOf(source: TensorSource): Promise<Float32Array> {
  const values: number[] = [];
  for (const { name } of source.specs) values.push(...new Float32Array((await bytesOf(source, name)).buffer));
  return Float32Array.from(values);
}

async function bytesOf(source: TensorSource, name: string): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(byteLength(source.specs.find((spec) => spec.name === name)!));
  await source.readBytes(name, 0, bytes);
  return bytes;
}
