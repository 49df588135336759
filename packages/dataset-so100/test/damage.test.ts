import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, truncate, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DatasetError, openDataset, validateDataset, type DatasetErrorCode, type OpenOptions } from '../src/index.ts';
import { fakeMp4, frameParquet, put, stateAt, writeFixture, type FixtureRow } from './fixtures.ts';

let folder: string;
let root: string;
let count = 0;

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

const V2_ROWS = 'data/chunk-000/episode_000001.parquet';
const V2_VIDEO = 'videos/chunk-000/observation.images.top/episode_000001.mp4';

const v2 = (): Promise<void> => writeFixture(root, { version: 'v2.1', lengths: [3, 4] });
const v3 = (): Promise<void> => writeFixture(root, { version: 'v3.0', lengths: [3, 4] });

async function failure(options: OpenOptions = {}, uri = root): Promise<DatasetError> {
  const opened = await openDataset(uri, options).catch((error: unknown) => error);
  expect(opened).toBeInstanceOf(DatasetError);
  return opened as DatasetError;
}

async function expectFailure(code: DatasetErrorCode, words: string | RegExp, options: OpenOptions = {}): Promise<DatasetError> {
  const error = await failure(options);
  expect({ code: error.code, message: error.message }).toEqual({ code, message: expect.stringMatching(words) as string });
  return error;
}

async function editInfo(change: (info: Record<string, unknown> & { features: Record<string, object> }) => void): Promise<void> {
  const file = path.join(root, 'meta/info.json');
  const info = JSON.parse(await readFile(file, 'utf8')) as Parameters<typeof change>[0];
  change(info);
  await writeFile(file, JSON.stringify(info));
}

const rows = (length: number, change: (row: FixtureRow) => Partial<FixtureRow> = () => ({})): FixtureRow[] =>
  Array.from({ length }, (_, position) => {
    const row = { episode: 1, position, index: position, timestamp: position / 10, task: 1 };
    return { ...row, ...change(row) };
  });

describe('files', () => {
  it('names a missing file', async () => {
    await v2();
    await unlink(path.join(root, V2_ROWS));
    const error = await expectFailure('DATASET_FILE_MISSING', 'episode_000001.parquet is missing');
    expect(error.file).toContain(V2_ROWS);
    expect(error.hint).toBeTruthy();
  });

  it('names a missing video', async () => {
    await v3();
    await rm(path.join(root, 'videos'), { recursive: true });
    await expectFailure('DATASET_FILE_MISSING', 'file-000.mp4 is missing');
  });

  it.each([0, 3, 100, -1])('names a parquet file cut off after %i bytes', async (size) => {
    await v2();
    const file = path.join(root, V2_ROWS);
    const bytes = await readFile(file);
    await truncate(file, size < 0 ? bytes.length + size : size);
    await expectFailure('DATASET_FILE_DAMAGED', 'episode_000001.parquet is no readable parquet file');
  });

  it.each([0, 7, 60, -1])('names a video cut off after %i bytes', async (size) => {
    await v2();
    const file = path.join(root, V2_VIDEO);
    const bytes = await readFile(file);
    await truncate(file, size < 0 ? bytes.length + size : size);
    await expectFailure('DATASET_FILE_DAMAGED', 'episode_000001.mp4 is no readable video');
  });

  it('names a video that its recorder did not finish', async () => {
    await v2();
    const whole = fakeMp4({ frames: 4, width: 16, height: 8 });
    await put(root, V2_VIDEO, Buffer.concat([whole.subarray(0, 12), whole.subarray(whole.length - 12)]));
    await expectFailure('DATASET_FILE_DAMAGED', 'no moov box');
  });

  it('refuses an unknown codec, images of another size, and too few of them', async () => {
    await v2();
    await put(root, V2_VIDEO, fakeMp4({ frames: 4, width: 16, height: 8, codec: 'xyz1' }));
    await expectFailure('DATASET_VIDEO', 'coded as "xyz1"');
    await put(root, V2_VIDEO, fakeMp4({ frames: 4, width: 8, height: 8 }));
    await expectFailure('DATASET_VIDEO', '8×8 pixels, other videos of observation.images.top 8×16');
    await put(root, V2_VIDEO, fakeMp4({ frames: 3, width: 16, height: 8 }));
    await expectFailure('DATASET_VIDEO', 'holds 3 frames; the rows up to episode 1 need 4');
  });

  it('refuses a video that claims images without end', async () => {
    await v2();
    await put(root, V2_VIDEO, fakeMp4({ frames: 4, width: 65_407, height: 65_535 }));
    await expectFailure('DATASET_LIMIT', 'claims images of 65535×65407 pixels');
    await put(root, V2_VIDEO, fakeMp4({ frames: 4, width: 0, height: 8 }));
    await expectFailure('DATASET_LIMIT', 'claims images of 8×0 pixels');
  });

  it('takes the size of images from the videos, and says so', async () => {
    await v2();
    await editInfo((info) => {
      info.features['observation.images.top'] = { dtype: 'video', shape: [3, 100, 200], names: null };
    });
    const dataset = await openDataset(root);
    expect(dataset.info.cameras).toEqual([{ key: 'observation.images.top', height: 8, width: 16 }]);
    expect(dataset.warnings).toEqual([expect.stringContaining('100×200 by meta/info.json')]);
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

describe('metadata', () => {
  it('names the line of a malformed table', async () => {
    await v2();
    await put(root, 'meta/episodes.jsonl', '{"episode_index":0,"tasks":["push"],"length":3}\n{"episode_index":1,"le');
    expect((await expectFailure('DATASET_METADATA', 'episodes.jsonl line 2 is not valid JSON')).row).toBe(1);
    await put(root, 'meta/episodes.jsonl', '{"episode_index":0,"length":-3}\n');
    await expectFailure('DATASET_METADATA', 'row 0: "length" is malformed');
  });

  it.each([
    ['v1.6', 'DATASET_VERSION', 'format v1.6'],
    ['v4.0', 'DATASET_VERSION', 'format v4.0'],
    [undefined, 'DATASET_NOT_LEROBOT', 'no codebase_version'],
  ] as const)('refuses format %s', async (version, code, words) => {
    await v2();
    await editInfo((info) => {
      info['codebase_version'] = version;
    });
    await expectFailure(code, words);
  });

  it.each([
    { fps: 0 },
    { fps: -30 },
    { fps: 'fast' },
    { chunks_size: 0 },
    { total_episodes: -1 },
    { features: {} },
    { data_path: 'data/{nonsense}.parquet' },
    { data_path: 'data/{episode_index!r}.parquet' },
  ])('refuses %o', async (change) => {
    await v2();
    await editInfo((info) => Object.assign(info, change));
    await expectFailure('DATASET_METADATA', /info\.json|template/);
  });

  it.each([{ total_frames: 1e12 }, { total_episodes: 1e9 }])('refuses the claim %o', async (change) => {
    await v2();
    await editInfo((info) => Object.assign(info, change));
    await expectFailure('DATASET_LIMIT', 'info.json');
  });

  it.each([
    ['action', { dtype: 'float32', shape: [1e9], names: null }],
    ['observation.images.top', { dtype: 'video', shape: [1e6, 1e6, 3], names: null }],
  ])('refuses a giant %s', async (key, feature) => {
    await v2();
    await editInfo((info) => {
      info.features[key] = feature;
    });
    await expectFailure('DATASET_LIMIT', 'claims');
  });

  it.each(['../{episode_index}.parquet', '/etc/passwd', 'data/../../x.parquet', 'C:\\x', 'a//b', 'data/\0'])(
    'refuses the path %s',
    async (template) => {
      await v2();
      await editInfo((info) => {
        info['data_path'] = template;
      });
      await expectFailure('DATASET_PATH', "leaves the dataset's folder");
    },
  );

  it('refuses a camera whose name climbs out', async () => {
    await v2();
    await editInfo((info) => {
      info.features['../../../x'] = { dtype: 'video', shape: [8, 16, 3], names: null };
    });
    await expectFailure('DATASET_PATH', "leaves the dataset's folder");
  });

  it('refuses a link that leads out, and follows those of the hub cache', async () => {
    await v2();
    const outside = path.join(folder, 'outside.parquet');
    await copyFile(path.join(root, V2_ROWS), outside);
    await unlink(path.join(root, V2_ROWS));
    await symlink(outside, path.join(root, V2_ROWS));
    await expectFailure('DATASET_PATH', 'outside the dataset');

    const repository = path.join(root, 'datasets--owner--name');
    const snapshot = path.join(repository, 'snapshots', '0123456789'.repeat(4));
    await writeFixture(snapshot, { version: 'v2.1', lengths: [3, 4] });
    await mkdir(path.join(repository, 'blobs'));
    await copyFile(path.join(snapshot, V2_ROWS), path.join(repository, 'blobs/123'));
    await unlink(path.join(snapshot, V2_ROWS));
    await symlink('../../../../blobs/123', path.join(snapshot, V2_ROWS));
    await (await openDataset(snapshot)).close();
  });

  it('says which episodes there are', async () => {
    await v2();
    await expectFailure('DATASET_EPISODES', 'has no episode 9; it has 2, from 0 to 1', { episodes: [0, 9] });
    await expectFailure('DATASET_EPISODES', 'no episodes', { episodes: [] });
    await put(root, 'meta/episodes.jsonl', '');
    await expectFailure('DATASET_EPISODES', 'no episodes');
  });

  it('refuses an episode listed twice', async () => {
    await v2();
    await put(root, 'meta/episodes.jsonl', '{"episode_index":1,"length":4}\n{"episode_index":1,"length":4}\n');
    await expectFailure('DATASET_METADATA', 'episode 1 is listed twice');
  });
});

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

  it('refuses a task that has no words', async () => {
    await v2();
    await put(root, V2_ROWS, frameParquet(rows(4, () => ({ task: 7 }))));
    await expectFailure('DATASET_METADATA', 'task_index 7, which meta/tasks does not list');
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

describe('validateDataset', () => {
  it('goes on after an error and reports all of them', async () => {
    await writeFixture(root, { version: 'v2.1', lengths: [3, 4, 5] });
    await unlink(path.join(root, 'data/chunk-000/episode_000000.parquet'));
    await unlink(path.join(root, 'videos/chunk-000/observation.images.top/episode_000002.mp4'));
    await put(root, V2_ROWS, frameParquet(rows(4, () => ({ timestamp: 0, action: [1, 2] }))));
    await put(root, 'data/chunk-000/episode_000077.parquet', frameParquet(rows(1)));
    const report = await validateDataset(root, { samples: 0 });
    expect(report.ok).toBe(false);
    expect(report.findings.map(({ severity, code, episode }) => [severity, code, episode])).toEqual([
      ['error', 'DATASET_FILE_MISSING', undefined],
      ['warning', 'TIMESTAMPS', 1],
      ['info', 'TIMESTAMPS', 1],
      ['info', 'STATISTICS', undefined],
      ['error', 'DATASET_FILE_MISSING', undefined],
      ['info', 'UNUSED_FILE', undefined],
    ]);
  });

  it('reports wrong totals, duplicates, joints that never move and false statistics', async () => {
    await writeFixture(root, { version: 'v2.0', lengths: [4, 4, 4] });
    const still = { state: [0, 0], action: [0, 0] };
    for (const episode of [0, 1, 2]) {
      const file = `data/chunk-000/episode_00000${episode}.parquet`;
      await put(root, file, frameParquet(rows(4, ({ position }) => (episode === 1 ? { state: [position, 5] } : { episode, ...still }))));
    }
    const zeros = { min: [0, 0], max: [0, 0], mean: [0, 0], std: [0, 0], count: [12] };
    await put(root, 'meta/stats.json', JSON.stringify({ 'observation.state': zeros, action: { ...zeros, mean: [NaN, 0] } }).replace('null', 'NaN'));
    await editInfo((info) => {
      info['total_frames'] = 99;
    });
    const report = await validateDataset(root, { samples: 0 });
    expect(report.ok).toBe(true);
    const codes = report.findings.map(({ code }) => code);
    expect(codes).toEqual(expect.arrayContaining(['COUNTS', 'DUPLICATE_EPISODE', 'SPREAD']));
    expect(report.findings.find(({ code }) => code === 'DUPLICATE_EPISODE')?.message).toBe(
      'Episode 2 holds the same states and actions as episode 0.',
    );
    expect(report.counts.warning.SPREAD).toBe(2);
  });
});

describe('statistics of validateDataset', () => {
  const rowStats = { min: [0, 0], max: [1, 3], mean: [0.5, 1.5], std: [0.5, Math.sqrt(1.25)], count: [8] };
  const codes = async (): Promise<string[]> =>
    (await validateDataset(root, { samples: 0 })).findings.filter(({ severity }) => severity === 'warning').map(({ code }) => code);

  const setOf = async (version: 'v2.0' | 'v2.1'): Promise<void> => {
    await writeFixture(root, { version, lengths: [4, 4], cameras: [] });
  };
  const stats = (change: object = {}): string =>
    JSON.stringify({ 'observation.state': { ...rowStats, ...change }, action: rowStats });

  it('finds nothing wrong with true ones', async () => {
    await setOf('v2.0');
    await put(root, 'meta/stats.json', stats());
    expect(await codes()).toEqual([]);
  });

  it.each([['zero', 0], ['infinite', 'Infinity'], ['NaN', 'NaN']] as const)('finds a spread of %s (lerobot #3645)', async (_, std) => {
    await setOf('v2.0');
    await put(root, 'meta/stats.json', stats({ std: [std, Math.sqrt(1.25)] }).replace(/"(NaN|Infinity)"/, '$1'));
    const report = await validateDataset(root, { samples: 0 });
    expect(report.ok).toBe(true);
    expect(report.findings.filter(({ code }) => code === 'SPREAD')).toEqual([
      expect.objectContaining({ severity: 'warning', message: expect.stringContaining('observation.state "a"') as string }),
    ]);
  });

  it('finds a spread of zero of a camera, and reads nested values', async () => {
    await writeFixture(root, { version: 'v2.0', lengths: [4, 4] });
    const image = { min: [[[0]], [[0]], [[0]]], max: [[[1]], [[1]], [[1]]], mean: [[[0.5]], [[0.5]], [[0.5]]], std: [[[0.2]], [[0]], [[0.2]]] };
    await put(root, 'meta/stats.json', JSON.stringify({ 'observation.state': rowStats, action: rowStats, 'observation.images.top': image }));
    expect(await codes()).toEqual(['SPREAD']);
  });

  it('compares the statistics of each episode, and survives damaged ones', async () => {
    await setOf('v2.1');
    const episode = (number: number): object => ({ ...rowStats, min: [number, 0], max: [number, 3], mean: [number, 1.5], std: [0, Math.sqrt(1.25)] });
    const line = (number: number, state: object): string =>
      JSON.stringify({ episode_index: number, stats: { 'observation.state': state, action: episode(number) } });
    await put(root, 'meta/episodes_stats.jsonl', `${line(0, episode(0))}\n${line(1, { ...episode(1), mean: [1, 2] })}\n`);
    const report = await validateDataset(root, { samples: 0 });
    expect(report.findings.filter(({ severity }) => severity === 'warning')).toEqual([
      expect.objectContaining({ code: 'STATISTICS', episode: 1, message: expect.stringContaining('the mean of observation.state "b" of episode 1') as string }),
    ]);
    await put(root, 'meta/episodes_stats.jsonl', `${line(0, episode(0))}\n{"episode_index":1,"sta`);
    expect((await validateDataset(root, { samples: 0 })).findings).toContainEqual(
      expect.objectContaining({ severity: 'warning', code: 'STATISTICS', message: expect.stringContaining('line 2 is not valid JSON') as string }),
    );
  });
});

describe('what is no file', () => {
  it('is refused where a file belongs, and the other way round', async () => {
    await v2();
    await unlink(path.join(root, V2_VIDEO));
    await mkdir(path.join(root, V2_VIDEO));
    await expectFailure('DATASET_FILE_DAMAGED', 'episode_000001.mp4 is no file');
    await v3();
    await rm(path.join(root, 'meta/episodes'), { recursive: true });
    await put(root, 'meta/episodes', 'x');
    await expectFailure('DATASET_FILE_DAMAGED', 'meta/episodes is no folder');
  });

  it.each(['/dev/zero', '.'])('is refused as a link to %s', async (target) => {
    await v2();
    await unlink(path.join(root, V2_ROWS));
    await symlink(target, path.join(root, V2_ROWS));
    expect(['DATASET_PATH', 'DATASET_FILE_DAMAGED']).toContain((await failure()).code);
  });
});

it('refuses an episode without frames, and reads the others', async () => {
  await v2();
  await put(root, 'meta/episodes.jsonl', '{"episode_index":0,"tasks":["push"],"length":3}\n{"episode_index":1,"tasks":["push"],"length":0}\n');
  expect((await expectFailure('DATASET_ROWS', 'episode 1 has no frames')).episode).toBe(1);
  await (await openDataset(`${root}?episodes=0`)).close();
  expect((await validateDataset(root, { samples: 0 })).counts.error.COUNTS).toBe(1);
});

describe('renaming cameras', () => {
  it('renames, and names both sides of a mismatch', async () => {
    await v2();
    const dataset = await openDataset(root, { rename: { 'observation.images.top': 'observation.images.camera1' } });
    expect(dataset.info.cameras[0]!.key).toBe('observation.images.camera1');
    expect(dataset.videoPosition(0, 'observation.images.camera1').file).toContain('observation.images.top');
    expect(() => dataset.videoPosition(0, 'observation.images.top')).toThrow(
      'has no camera "observation.images.top"; it has: observation.images.camera1',
    );
    await dataset.close();
    await expectFailure('DATASET_CAMERA_UNKNOWN', 'Cannot rename "front": .* has the cameras observation.images.top', {
      rename: { front: 'x' },
    });
  });
});
