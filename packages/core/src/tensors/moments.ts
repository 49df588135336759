import { compareNames, type TensorSpec } from './dtype.ts';

/** What stands before a parameter's name in the name of its first moment, the running mean of its gradients. */
export const FIRST_MOMENT = 'first_moment/';
/** What stands before a parameter's name in the name of its second moment, the running mean of its squared gradients. */
export const SECOND_MOMENT = 'second_moment/';

/** The tensors of an `OptimizerState`: both moments of every parameter, float32, shaped as it, sorted by name. */
export function momentSpecs(parameters: readonly Pick<TensorSpec, 'name' | 'shape'>[]): TensorSpec[] {
  return [FIRST_MOMENT, SECOND_MOMENT]
    .flatMap((moment) => parameters.map(({ name, shape }): TensorSpec => ({ name: `${moment}${name}`, dtype: 'F32', shape })))
    .sort((a, b) => compareNames(a.name, b.name));
}
