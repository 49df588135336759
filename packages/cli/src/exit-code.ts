import { Zk0Error } from '@zk0/core/errors';
import { ConfigError, UsageError } from './errors.ts';

/**
 * What the exit status of both command lines means. A second Ctrl-C ends with 130 at once. SIGTERM ends a command with 143, and one that runs
 * until it is told to stop (`start`) with 0.
 */
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

/** Codes of errors in what the user wrote, whichever package found them. */
const USER_CODES: ReadonlySet<string> = new Set(['INVALID_ARGUMENT', 'STRATEGY_CONFIG_INVALID', 'RUN_CONFIG_INVALID']);

/** The exit status for something that `main` threw. */
export function exitCodeOf(thrown: unknown): number {
  if (thrown instanceof UsageError || thrown instanceof ConfigError) return EXIT_CODE.usage;
  if (thrown instanceof Zk0Error && USER_CODES.has(thrown.code)) return EXIT_CODE.usage;
  return EXIT_CODE.failure;
}
