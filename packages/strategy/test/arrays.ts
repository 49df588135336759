import type { Float32Tensor, Parameters } from '@zk0/core';
import type { ParametersUpdate } from '../src/index.ts';

/** Nested numbers: `5` is a scalar, `[[1, 2], [3, 4]]` a matrix. */
export type Nested = number | readonly Nested[];

/** A float32 tensor from nested numbers. */
export function tensor(values: Nested): Float32Tensor {
  const shape: number[] = [];
  for (let level = values; typeof level !== 'number'; level = level[0]!) shape.push(level.length);
  return { shape, data: Float32Array.from(typeof values === 'number' ? [values] : values.flat(16)) };
}

/** Parameters named `0`, `1`, … in the order given. */
export function model(...tensors: readonly Nested[]): Parameters {
  return new Map(tensors.map((values, index) => [String(index), tensor(values)]));
}

/** The values of each tensor, flat. */
export function values(parameters: Parameters): number[][] {
  return [...parameters.keys()].sort().map((name) => [...parameters.get(name)!.data]);
}

/** Updates `client-00`, `client-01`, … of parameters and example counts. */
export function updates(...entries: readonly (readonly [parameters: Parameters, numExamples: number])[]): ParametersUpdate[] {
  return entries.map(([parameters, numExamples], index) => ({
    clientId: `client-${String(index).padStart(2, '0')}`,
    parameters,
    numExamples,
  }));
}

/** Like every tensor of `parameters`, filled with one value. */
export function filled(parameters: Parameters, value: number): Parameters {
  return new Map([...parameters].map(([name, { shape, data }]) => [name, { shape, data: new Float32Array(data.length).fill(value) }]));
}
