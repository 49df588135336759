import { formatBytes } from './format.ts';
import type { Progress } from './progress.ts';

/** Where getting something ready stands. */
export interface Phase {
  /** `downloading`, `making`, …; what is downloaded is counted in bytes. */
  readonly phase: string;
  readonly done: number;
  readonly total: number;
}

/** Shows phases of getting something ready: `downloading hf:owner/name`. */
export function showPhases(progress: Progress, what: string): (phase: Phase) => void {
  return ({ phase, done, total }) => {
    progress.update({ label: `${phase} ${what}`, done, total, ...(phase === 'downloading' ? { detail: formatBytes(total) } : {}) });
  };
}
