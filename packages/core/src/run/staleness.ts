import type { RunState } from './state.ts';

/** How many versions of the global parameters have come since those that clients of `round` began with. */
export function versionsSince({ rounds }: Pick<RunState, 'rounds'>, round: number): number {
  return rounds.slice(round - 1).filter(({ aggregate }) => aggregate !== undefined).length;
}
