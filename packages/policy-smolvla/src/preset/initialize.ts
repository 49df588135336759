import { deriveSeed, elementCount, Random, type TensorSpec } from '@zk0/core';

/**
 * Initial values of a weight, the same on every platform: uniform numbers only, whose arithmetic is exact everywhere.
 *
 * Norms are 1, biases 0, embeddings have standard deviation 1/√width (they are scaled by √width when they are used), and
 * linear weights 1/√inputs, which keeps the variance of what flows through them.
 */
export function initialValues({ name, shape }: Pick<TensorSpec, 'name' | 'shape'>, seed: string): Float32Array {
  const values = new Float32Array(elementCount(shape));
  if (name.endsWith('.bias')) return values;
  if (shape.length === 1) return values.fill(1);
  const inputs = elementCount(shape.slice(1));
  const limit = Math.sqrt(3 / inputs);
  const random = new Random(deriveSeed(seed, name));
  for (let index = 0; index < values.length; index++) values[index] = (2 * random.uniform() - 1) * limit;
  return values;
}
