import { createProgress, showPhases, zk0Home, type Progress } from '@zk0/cli';
import type { SourceOptions } from '@zk0/dataset-so100';
import type { Run } from '../run-action.ts';

/** What a command that works on datasets works with. */
export interface DatasetWork {
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** How a dataset is found, or made, or fetched, with a line of progress. */
  readonly source: (uri: string) => SourceOptions;
}

/** Runs a command's work with a progress line, which is gone at the end, however that comes. */
export function runWork(run: Run, work: (parts: DatasetWork) => Promise<number | undefined>): void {
  run(async (signal) => {
    const progress = createProgress();
    try {
      return await work({
        progress,
        signal,
        source: (uri) => ({ cacheDirectory: zk0Home(), signal, onProgress: showPhases(progress, uri) }),
      });
    } finally {
      progress.finish();
    }
  });
}
