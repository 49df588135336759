import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { assertNoOverlap, convertDataset, findOverlap, validateDataset } from '../src/index.ts';
import { writeFixture } from './fixtures.ts';

let folder: string;
let a: string;
let b: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'zk0-overlap-'));
  [a, b] = [path.join(folder, 'a'), path.join(folder, 'b')];
  // A fixture's values tell the episode's number: the recordings 1 and 2 are in both, in different formats.
  await writeFixture(a, { version: 'v2.1', lengths: [3, 4, 5], numbers: [0, 1, 2], cameras: [] });
  await writeFixture(b, { version: 'v3.0', lengths: [4, 5, 6], numbers: [1, 2, 3], cameras: [] });
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

it('finds recordings that are in two datasets, whatever their format and numbers', async () => {
  const converted = path.join(folder, 'converted');
  await convertDataset(`${a}?episodes=1-2`, converted);
  const [first, second, third] = [await validateDataset(a), await validateDataset(b), await validateDataset(converted)];
  expect(findOverlap(first, second).map(({ code, severity, episode, other }) => [severity, code, episode, other])).toEqual([
    ['error', 'OVERLAP', 1, b],
    ['error', 'OVERLAP', 2, b],
  ]);
  expect(findOverlap(third, first).map(({ message }) => message)).toEqual([
    `Episode 0 of ${converted} is also in ${a}, as episode 1.`,
    `Episode 1 of ${converted} is also in ${a}, as episode 2.`,
  ]);
});

it('fails a run whose datasets share a recording, and passes disjoint choices of one', async () => {
  await expect(assertNoOverlap([a, b])).rejects.toMatchObject({ code: 'DATASET_OVERLAP', episode: 1 });
  await expect(assertNoOverlap([`${a}?episodes=0-1`, `${a}?episodes=2`, `${b}?episodes=3`])).resolves.toBeUndefined();
  await expect(assertNoOverlap([`${a}?episodes=0-1`, `${a}?episodes=1`])).rejects.toMatchObject({ code: 'DATASET_OVERLAP' });
});
