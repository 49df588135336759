import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { DatasetError, openDataset, type DatasetErrorCode, type OpenOptions } from '../src/index.ts';
import { writeFixture, type FixtureRow } from './fixtures.ts';

let folder: string;
let count = 0;
/** Where each test writes its dataset. */
export let root: string;

/** Gives every test of the file a folder of its own. */
export function useDamagedSets(): void {
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'zk0-damage-'));
  });
  beforeEach(() => {
    root = path.join(folder, `set-${count++}`);
  });
  afterEach(async () => {
    await rm(root, { recursive: true, force: true });
  });
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
  });
}

export const V2_ROWS = 'data/chunk-000/episode_000001.parquet';
export const V2_VIDEO = 'videos/chunk-000/observation.images.top/episode_000001.mp4';

export const v2 = (): Promise<void> => writeFixture(root, { version: 'v2.1', lengths: [3, 4] });
export const v3 = (): Promise<void> => writeFixture(root, { version: 'v3.0', lengths: [3, 4] });

export async function failure(options: OpenOptions = {}, uri = root): Promise<DatasetError> {
  const opened = await openDataset(uri, options).catch((error: unknown) => error);
  expect(opened).toBeInstanceOf(DatasetError);
  return opened as DatasetError;
}

export async function expectFailure(code: DatasetErrorCode, words: string | RegExp, options: OpenOptions = {}): Promise<DatasetError> {
  const error = await failure(options);
  expect({ code: error.code, message: error.message }).toEqual({ code, message: expect.stringMatching(words) as string });
  return error;
}

export async function editInfo(change: (info: Record<string, unknown> & { features: Record<string, object> }) => void): Promise<void> {
  const file = path.join(root, 'meta/info.json');
  const info = JSON.parse(await readFile(file, 'utf8')) as Parameters<typeof change>[0];
  change(info);
  await writeFile(file, JSON.stringify(info));
}

export const rows = (length: number, change: (row: FixtureRow) => Partial<FixtureRow> = () => ({})): FixtureRow[] =>
  Array.from({ length }, (_, position) => {
    const row = { episode: 1, position, index: position, timestamp: position / 10, task: 1 };
    return { ...row, ...change(row) };
  });
