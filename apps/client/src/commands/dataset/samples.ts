import { InvalidArgumentError } from '@zk0/core';

/** The flag of commands that look at images, for `Command.option`. */
export const SAMPLES_OPTION = ['--samples <n>', 'images to decode of each episode and camera, or "all" (default: 5)'] as const;

/** How many images; undefined where nothing was said. @throws InvalidArgumentError */
export function parseSamples(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (text === 'all') return Infinity;
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError(`--samples ${text} is no number`, { hint: 'Write a whole number, or "all".' });
}
