import { InvalidArgumentError } from '@zk0/core';
import type { Reporter } from '@zk0/federation';
import type { LogRecord, RootLogger } from '@zk0/logger';

/** From the lightest. */
const LEVELS = ['info', 'warn', 'error'] as const;

/** The lightest level of the lines that are sent to the server. */
export type SendLogLevel = (typeof LEVELS)[number] | 'off';

/**
 * What `--send-log` says.
 *
 * @throws InvalidArgumentError for another level, and with `--private`: lines may name figures that follow from the recordings
 */
export function parseSendLog(text: string, isPrivate: boolean): SendLogLevel {
  const level = ['off' as const, ...LEVELS].find((known) => known === text);
  if (level === undefined) throw new InvalidArgumentError(`--send-log ${text} is not known`, { hint: `Choose one of off, ${LEVELS.join(', ')}.` });
  if (level !== 'off' && isPrivate) {
    throw new InvalidArgumentError('--send-log cannot be used with --private or --local-noise: lines of the log may hold losses, and numbers of frames', {
      hint: 'Leave one of them out.',
    });
  }
  return level;
}

/** Hands lines of the log from a level on to the reporter. Returns what ends that. */
export function sendLog(log: Pick<RootLogger, 'observe'>, level: SendLogLevel, reporter: Reporter): () => void {
  if (level === 'off') return () => undefined;
  const wanted: readonly string[] = LEVELS.slice(LEVELS.indexOf(level));
  return log.observe(({ time, level: at, message, fields }: LogRecord) => {
    if (at === 'trace' || !wanted.includes(at)) return;
    const { round } = fields;
    reporter.line({ time, level: at, message, ...(Number.isInteger(round) && Number(round) >= 0 && { round: Number(round) }) });
  });
}
