import { InvalidArgumentError } from '@zk0/core/errors';

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3600_000, d: 24 * 3600_000 };

/** Milliseconds of `30m`, `12h` or `7d`. @throws InvalidArgumentError */
export function parseDuration(flag: string, text: string): number {
  const match = /^(\d{1,6})\s*([smhd])$/.exec(text.trim());
  if (match === null) throw new InvalidArgumentError(`${flag} ${text} is no duration`, { hint: 'Write for example 30m, 12h or 7d.' });
  return Number(match[1]) * UNITS[match[2]!]!;
}
