import type { RetryPolicy } from '@zk0/core';
import { isPassing, type HubError } from './errors.ts';
import type { HubOptions } from './settings.ts';

const INITIAL_MS = 1000;
const MAX_MS = 30_000;
const MAX_FAILURES = 6;

/** How this package tries again: a few times in a row, for as long as something moves in between. */
export class RetrySettings {
  readonly #options: Pick<HubOptions, 'retryInitialMs' | 'maxFailures' | 'onRetry'>;

  constructor(options: Pick<HubOptions, 'retryInitialMs' | 'maxFailures' | 'onRetry'>) {
    this.#options = options;
  }

  /** @param maxFailures - failures in a row before the last one is thrown. */
  policy(maxFailures: number = this.#options.maxFailures ?? MAX_FAILURES): RetryPolicy<HubError> {
    return {
      initialMs: this.#options.retryInitialMs ?? INITIAL_MS,
      maxMs: MAX_MS,
      passing: (thrown) => (isPassing(thrown) ? { error: thrown, retryAfterMs: thrown.retryAfterMs ?? 0 } : null),
      onPause: (pause) => {
        if (pause.attempt >= maxFailures) throw pause.error;
        this.#options.onRetry?.(pause);
      },
    };
  }
}
