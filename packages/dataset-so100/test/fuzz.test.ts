import { expect, it } from 'vitest';
import { fuzz } from './fuzz.ts';

it('opens damaged datasets, or refuses them with a typed error', async () => {
  const outcomes = await fuzz(60, 'suite');
  expect([...outcomes.values()].reduce((sum, count) => sum + count, 0)).toBe(60);
  expect(outcomes.has('DATASET_FILE_DAMAGED')).toBe(true);
}, 60_000);
