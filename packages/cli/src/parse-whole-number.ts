import { InvalidArgumentError } from '@zk0/core/errors';

/** The whole number that a flag is given, from `least` to `most`. @throws InvalidArgumentError */
export function parseWholeNumber(flag: string, text: string, least: number, most: number): number {
  const value = /^-?\d{1,16}$/.test(text.trim()) ? Number(text) : NaN;
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new InvalidArgumentError(`${flag} is ${text}; it must be a whole number from ${least} to ${most}`);
}
