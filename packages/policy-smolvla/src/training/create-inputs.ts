import { FrameStore, type CacheTier } from '../cache/frame-store.ts';
import { PolicyError } from '../errors.ts';
import type { CacheMode, LearnerOptions } from '../policy.ts';
import type { ModelRuntime } from '../runtime/model-runtime.ts';
import type { DatasetBinding } from './dataset-binding.ts';
import { PrefixCachedInputs, UncachedInputs, VisionCachedInputs, type ModelInputs } from './model-inputs.ts';

/** Most disk that one dataset's cache takes unless told otherwise. */
export const DEFAULT_CACHE_BUDGET_BYTES = 20e9;
/** Free disk that `auto` leaves alone. */
const RESERVED_BYTES = 2e9;

/** What decides where a learner's inputs come from. */
export interface InputsOptions {
  readonly cache: CacheMode;
  readonly cacheBudgetBytes: number;
  readonly cacheDirectory: string;
  readonly baseHash: string;
  readonly onCache: LearnerOptions['onCache'];
}

/**
 * Chooses where the frozen part of a batch comes from.
 *
 * @throws PolicyError CACHE_FULL when the tier asked for does not fit the budget; POLICY_UNSUPPORTED for a cache of
 *   something that is trained.
 */
export async function createInputs(binding: DatasetBinding, runtime: ModelRuntime, options: InputsOptions): Promise<ModelInputs> {
  const frames = binding.dataset.info.frameCount;
  const store = await chooseStore(binding, runtime, options);
  options.onCache?.({ tier: store?.tier ?? 'off', bytes: store?.byteLength ?? 0, frames });
  if (store === null) return new UncachedInputs(binding, runtime);
  return store.tier === 'prefix' ? new PrefixCachedInputs(runtime, store) : new VisionCachedInputs(binding, runtime, store);
}

/** The store that fits; null where nothing is kept. */
async function chooseStore(binding: DatasetBinding, runtime: ModelRuntime, options: InputsOptions): Promise<FrameStore | null> {
  const { cache, cacheBudgetBytes: budget } = options;
  if (!runtime.config.trainExpertOnly) {
    if (cache === 'vision' || cache === 'prefix') {
      throw new PolicyError('POLICY_UNSUPPORTED', `--cache ${cache} needs a frozen vision-language model, this policy trains it`, {
        hint: 'Use --cache off, or a policy with train_expert_only.',
      });
    }
    return null;
  }
  if (cache === 'off') return null;
  const tiers: readonly CacheTier[] = cache === 'auto' ? ['prefix', 'vision'] : [cache];
  const stores = tiers.map((tier) => new FrameStore(tier, binding, runtime, options));
  for (const store of stores) {
    const room = cache === 'auto' ? (await store.room()) - RESERVED_BYTES : Infinity;
    if (store.byteLength > Math.min(budget, room)) continue;
    return store;
  }
  if (cache === 'auto') return null;
  throw new PolicyError('CACHE_FULL', `--cache ${cache} needs ${stores[0]!.byteLength} bytes for ${binding.dataset.info.name}, the budget is ${budget}`, {
    hint: 'Raise the budget, or use --cache auto.',
  });
}
