import type { Parameters, TensorSpec } from '@zk0/core';
import { sharedTensor, type Tensor } from '@zk0/onnx-train';

/**
 * Copies of the tensors that `specs` name, in its order, in memory that sessions read without copying it at every run and an
 * optimiser can change in place.
 */
export function sharedWeights(specs: readonly TensorSpec[], parameters: Parameters): Map<string, Tensor> {
  return new Map(
    specs.map(({ name, shape }) => {
      const tensor = sharedTensor('float32', shape);
      (tensor.data as Float32Array).set(parameters.get(name)!.data);
      return [name, tensor];
    }),
  );
}
