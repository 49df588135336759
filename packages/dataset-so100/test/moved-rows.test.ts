import { readFile, rename, rm, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { openDataset, readContents, repairDataset, validateDataset } from '../src/index.ts';
import { root, useDamagedSets } from './damaged-set.ts';
import { column, frameParquet, listColumn, parquet, put, stateAt, writeFixture, type FixtureRow } from './fixtures.ts';

useDamagedSets();

const file = (number: number): string => `data/chunk-000/file-00${number}.parquet`;
const episodeFile = (number: number): string => `data/chunk-000/episode_00000${number}.parquet`;
const rowsOf = (episode: number, length: number, change: Partial<FixtureRow> = {}): FixtureRow[] =>
  Array.from({ length }, (_, position) => ({ episode, position, index: position, timestamp: position / 10, task: 0, ...change }));

async function statesOf(uri: string): Promise<number[][]> {
  const dataset = await openDataset(uri);
  const states = Array.from({ length: dataset.info.frameCount }, (_, frame) => Array.from(dataset.state(frame)));
  await dataset.close();
  return states;
}

const LENGTHS = [3, 4, 2, 5];
const ALL = LENGTHS.flatMap((length, episode) => Array.from({ length }, (_, k) => stateAt(episode, k)));

/** A v3.0 set of four episodes; `files` says where the metadata puts the rows of each, and `contents` where they are. */
async function moved(files: readonly number[], contents: readonly (readonly number[])[]): Promise<void> {
  await writeFixture(root, { version: 'v3.0', lengths: LENGTHS, cameras: [], episodesPerFile: 4 });
  await unlink(path.join(root, file(0)));
  for (const [number, episodes] of contents.entries()) {
    if (episodes.length > 0) await put(root, file(number), frameParquet(episodes.flatMap((episode) => rowsOf(episode, LENGTHS[episode]!))));
  }
  await put(root, 'meta/episodes/chunk-000/file-000.parquet', parquet([
    column('episode_index', 'INT64', [0n, 1n, 2n, 3n]),
    column('length', 'INT64', LENGTHS.map(BigInt)),
    column('data/chunk_index', 'INT64', [0n, 0n, 0n, 0n]),
    column('data/file_index', 'INT64', files.map(BigInt)),
    listColumn('tasks', 'BYTE_ARRAY', LENGTHS.map(() => ['push'])),
  ]));
}

describe('rows of v3.0', () => {
  it.each([
    ['in the next file (lerobot #2401)', [0, 0, 0, 1], [[0, 1], [2, 3]]],
    ['in one file where several are named (lerobot #2264)', [0, 0, 1, 2], [[0, 1, 2, 3]]],
    ['in a file that nobody names', [0, 0, 0, 0], [[0, 1], [], [], [2, 3]]],
    ['in each other’s files', [0, 0, 1, 1], [[2, 3], [0, 1]]],
  ])('belong to the episode that their number names: %s', async (_, files, contents) => {
    await moved(files, contents);
    expect(await statesOf(root)).toEqual(ALL);
    const dataset = await openDataset(root);
    expect(dataset.warnings.some((warning) => warning.includes('are read from there'))).toBe(true);
    await dataset.close();
    const report = await validateDataset(root);
    expect(report.ok).toBe(true);
    expect(report.counts.warning.MOVED_ROWS).toBeGreaterThan(0);
    expect(report.counts.info.UNUSED_FILE).toBeUndefined();
    expect(await readContents(root)).toEqual(report.contents);
    const copy = `${root}-copy`;
    await repairDataset(root, copy);
    expect(await statesOf(copy)).toEqual(ALL);
    expect((await validateDataset(copy)).counts.warning).toEqual({});
    await rm(copy, { recursive: true });
  });

  it('are missed where no file has them, and a damaged file beside them stops nobody', async () => {
    await moved([0, 0, 0, 1], [[0, 1], [2]]);
    await put(root, file(5), 'damaged');
    expect(await statesOf(`${root}?episodes=0-2`)).toEqual(ALL.slice(0, 9));
    await expect(openDataset(root)).rejects.toMatchObject({
      code: 'DATASET_ROWS',
      episode: 3,
      message: expect.stringContaining('has no rows of episode 3, nor has another file of data/') as string,
    });
  });
});

describe('files of v2.1 that were renamed', () => {
  /** Episode 1 is deleted by hand, the files behind it are renamed down, and meta/ says so. */
  async function renamed(): Promise<void> {
    await writeFixture(root, { version: 'v2.1', lengths: LENGTHS, cameras: [] });
    await unlink(path.join(root, episodeFile(1)));
    for (const number of [2, 3]) await rename(path.join(root, episodeFile(number)), path.join(root, episodeFile(number - 1)));
    const lines = [3, 2, 5].map((length, episode_index) => `${JSON.stringify({ episode_index, length, tasks: ['push'] })}\n`);
    await writeFile(path.join(root, 'meta/episodes.jsonl'), lines.join(''));
  }

  it('are read and repaired as the episodes that their names say (lerobot #630)', async () => {
    await renamed();
    const states = ALL.filter(([episode]) => episode !== 1);
    expect(await statesOf(root)).toEqual(states);
    const report = await validateDataset(root);
    expect(report.ok).toBe(true);
    expect(report.counts.warning.MOVED_ROWS).toBe(2);
    const copy = `${root}-copy`;
    await repairDataset(root, copy);
    expect(await statesOf(copy)).toEqual(states);
    await rm(copy, { recursive: true });
  });

  it('are told from exchanged ones by their lengths, and refused where those are the same', async () => {
    await writeFixture(root, { version: 'v2.1', lengths: [3, 3, 4], cameras: [] });
    await put(root, episodeFile(0), frameParquet(rowsOf(2, 3)));
    await put(root, episodeFile(2), frameParquet(rowsOf(0, 4)));
    expect((await statesOf(root)).slice(0, 3)).toEqual([0, 1, 2].map((k) => stateAt(2, k)));
    await put(root, episodeFile(0), frameParquet(rowsOf(1, 3)));
    await put(root, episodeFile(1), frameParquet(rowsOf(0, 3)));
    await put(root, episodeFile(2), frameParquet(rowsOf(2, 4)));
    await expect(openDataset(root)).rejects.toMatchObject({ code: 'DATASET_ROWS', message: expect.stringContaining('leads back to episode') as string });
    expect(await readFile(path.join(root, episodeFile(0)))).toBeTruthy();
  });

  it('are refused where one holds rows of several other episodes', async () => {
    await writeFixture(root, { version: 'v2.1', lengths: [3, 3], cameras: [] });
    await put(root, episodeFile(0), frameParquet([...rowsOf(4, 2), ...rowsOf(5, 1)]));
    await expect(openDataset(root)).rejects.toMatchObject({ code: 'DATASET_ROWS', message: expect.stringContaining('rows of the episodes 4, 5, none of 0') as string });
  });
});
