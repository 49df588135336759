import { PolicyError } from '../errors.ts';
import type { CacheMode } from '../policy.ts';
import type { ModelRuntime } from '../runtime/model-runtime.ts';
import type { DatasetBinding } from './dataset-binding.ts';
import { UncachedInputs, type ModelInputs } from './model-inputs.ts';

/** What decides where a learner's inputs come from. */
export interface InputsOptions {
  readonly cache?: CacheMode;
  readonly cacheBudgetBytes?: number;
  readonly cacheDirectory: string;
  readonly baseHash: string;
}

/**
 * Chooses where the frozen part of a batch comes from.
 *
 * @throws PolicyError POLICY_UNSUPPORTED for a cache of a prefix that is trained.
 */
export function createInputs(binding: DatasetBinding, runtime: ModelRuntime, { cache = 'auto' }: InputsOptions): ModelInputs {
  if (cache === 'vision' || cache === 'prefix') {
    throw new PolicyError('POLICY_UNSUPPORTED', `cache ${cache} is not there yet`, { hint: 'Use --cache auto or off.' });
  }
  return new UncachedInputs(binding, runtime);
}
