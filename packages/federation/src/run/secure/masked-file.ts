import type { TensorSpec } from '@zk0/core';
import { elementCount } from '@zk0/core';

/** The one tensor of a masked update: the weight, then the values of all parameters in the order of their names, modulo 2³². */
export const MASKED = 'masked';

/** The tensors of a masked update of parameters of these specs. */
export function maskedSpecs(parameters: readonly TensorSpec[]): readonly TensorSpec[] {
  const values = parameters.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  return [{ name: MASKED, dtype: 'U32', shape: [1 + values] }];
}

/** Whether these are the tensors of a masked update of such parameters. */
export function isMasked(specs: readonly TensorSpec[], parameters: readonly TensorSpec[]): boolean {
  return JSON.stringify(specs) === JSON.stringify(maskedSpecs(parameters));
}
