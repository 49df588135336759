import { Zk0Error } from '@zk0/core';
import { ConfigError, UsageError } from './errors.ts';

/** What the exit status of both command lines means. A second Ctrl-C, or SIGTERM, ends with 128 + the signal's number. */
export const EXIT_CODE = {
  /** Everything asked for was done. */
  ok: 0,
  /** It was not; one line on stderr says why. */
  failure: 1,
  /** The command line or the configuration is wrong; nothing was started. */
  usage: 2,
  /** Ctrl-C; what was finished before is on disk. */
  interrupted: 130,
} as const;

/** The exit status for something that `main` threw. */
export function exitCodeOf(thrown: unknown): number {
  if (thrown instanceof UsageError || thrown instanceof ConfigError) return EXIT_CODE.usage;
  if (thrown instanceof Zk0Error && thrown.code === 'INVALID_ARGUMENT') return EXIT_CODE.usage;
  return EXIT_CODE.failure;
}
