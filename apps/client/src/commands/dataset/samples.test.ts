import { expect, it } from 'vitest';
import { doctorCommand } from './doctor.ts';
import { parseSamples } from './samples.ts';
import { validateCommand } from './validate.ts';

it('takes a number of images, all of them, or nothing', () => {
  expect([parseSamples('0'), parseSamples('12'), parseSamples('all'), parseSamples(undefined)]).toEqual([0, 12, Infinity, undefined]);
  for (const text of ['-1', '1.5', 'x', '', '1e3']) expect(() => parseSamples(text)).toThrow(/no number/);
});

it('is the same flag of every command that looks at images', () => {
  const described = [doctorCommand, validateCommand].map((make) => make(() => undefined).options.find(({ long }) => long === '--samples')?.description);
  expect(new Set(described).size).toBe(1);
  expect(described[0]).toContain('all');
});
