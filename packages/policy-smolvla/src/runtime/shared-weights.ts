import type { Parameters } from '@zk0/core';
import { sharedTensor, type Tensor } from '@zk0/onnx-train';
import type { SmolVlaModelConfig } from '../model/config.ts';
import { trainedWeightSpecs } from '../model/weights.ts';

/**
 * Copies of the trained weights, in the model's order, in memory that sessions read without copying it at every run and an
 * optimiser can change in place.
 */
export function sharedWeights(config: SmolVlaModelConfig, parameters: Parameters): Map<string, Tensor> {
  return new Map(
    trainedWeightSpecs(config).map(({ name, shape }) => {
      const tensor = sharedTensor('float32', shape);
      (tensor.data as Float32Array).set(parameters.get(name)!.data);
      return [name, tensor];
    }),
  );
}
