import { describe, expect, it } from 'vitest';
import { openDataset, validateDataset } from '../src/index.ts';
import { V2_ROWS, editInfo, expectFailure, root, rows, useDamagedSets, v2 } from './damaged-set.ts';
import { frameParquet, put, stateAt } from './fixtures.ts';

useDamagedSets();

describe('rows', () => {
  it.each([
    ['NaN', [1, NaN], 'value 1 is NaN'],
    ['an infinity', [Infinity, 0], 'value 0 is Infinity'],
    ['a short vector', [1], '1 values where 2 values belong'],
  ])('names the row of %s', async (_, action, words) => {
    await v2();
    await put(root, V2_ROWS, frameParquet(rows(4, ({ position }) => (position === 2 ? { action } : {}))));
    const error = await expectFailure('DATASET_ROWS', `episode_000001.parquet row 2, column "action": ${words}`);
    expect(error.row).toBe(2);
  });

  it('says when rows are missing', async () => {
    await v2();
    await put(root, V2_ROWS, frameParquet(rows(3)));
    await expectFailure('DATASET_ROWS', 'has 3 rows of episode 1; meta/ says 4 frames');
    await put(root, V2_ROWS, frameParquet(rows(6)));
    await expectFailure('DATASET_ROWS', 'row 4: frame_index 4 of episode 1, which has 4 frames');
  });

  it('reads doubled frames once, in order, and says so (lerobot #1875)', async () => {
    await v2();
    const once = rows(4);
    await put(root, V2_ROWS, frameParquet([...once, ...once]));
    const dataset = await openDataset(root);
    expect(dataset.warnings).toEqual([expect.stringContaining('Episode 1 has doubled frames: 8 rows for 4 frames')]);
    expect([3, 4, 5, 6].map((frame) => Array.from(dataset.state(frame)))).toEqual([0, 1, 2, 3].map((k) => stateAt(1, k)));
    await dataset.close();
    const report = await validateDataset(root, { samples: 0 });
    expect(report.ok).toBe(true);
    expect(report.findings.map(({ code }) => code)).toContain('DOUBLED_FRAMES');
  });

  it('reads rows that are out of order by their frame_index', async () => {
    await v2();
    await put(root, V2_ROWS, frameParquet(rows(4).reverse()));
    const dataset = await openDataset(root);
    expect(Array.from(dataset.state(3))).toEqual(stateAt(1, 0));
    await dataset.close();
  });
});

it('finds no picture where rows have no such column, and names the row', async () => {
  await v2();
  await editInfo((info) => {
    info.features['observation.images.side'] = { dtype: 'image', shape: [8, 16, 3], names: null };
  });
  const dataset = await openDataset(root);
  expect(dataset.info.cameras.map(({ key }) => key)).toEqual(['observation.images.side', 'observation.images.top']);
  await expect(dataset.images(1, ['observation.images.side'])).rejects.toMatchObject({ code: 'DATASET_FRAME', row: 1 });
  await dataset.close();
});

it('refuses an episode without frames, and reads the others', async () => {
  await v2();
  await put(root, 'meta/episodes.jsonl', '{"episode_index":0,"tasks":["push"],"length":3}\n{"episode_index":1,"tasks":["push"],"length":0}\n');
  expect((await expectFailure('DATASET_ROWS', 'episode 1 has no frames')).episode).toBe(1);
  await (await openDataset(`${root}?episodes=0`)).close();
  expect((await validateDataset(root, { samples: 0 })).counts.error.COUNTS).toBe(1);
});
