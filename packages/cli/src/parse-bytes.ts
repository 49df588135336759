import { InvalidArgumentError } from '@zk0/core/errors';

const UNITS: Readonly<Record<string, number>> = { '': 1, B: 1, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 };

/** Bytes of `50GB`, `200 MB` or a plain number. @throws InvalidArgumentError */
export function parseBytes(flag: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]?B)?$/i.exec(text.trim());
  if (match === null) throw new InvalidArgumentError(`${flag} ${text} is no size`, { hint: 'Write for example 50GB.' });
  return Math.floor(Number(match[1]) * UNITS[(match[2] ?? '').toUpperCase()]!);
}
