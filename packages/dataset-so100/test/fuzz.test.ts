import { expect, it } from 'vitest';
import { fuzz } from './fuzz.ts';

const TRIES = 25;

it('reads damaged datasets, or refuses them with a typed error; `npx nx fuzz dataset-so100` tries 10 000', async () => {
  const { outcomes, failures } = await fuzz(TRIES, 'suite');
  expect(failures).toEqual([]);
  expect([...outcomes.values()].reduce((sum, count) => sum + count, 0)).toBe(TRIES);
  expect(outcomes.has('DATASET_FILE_DAMAGED')).toBe(true);
}, 240_000);
