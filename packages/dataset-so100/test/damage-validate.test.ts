import { readFile, symlink, unlink } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { openDataset, validateDataset } from '../src/index.ts';
import { V2_ROWS, editInfo, root, rows, useDamagedSets } from './damaged-set.ts';
import { frameParquet, put, writeFixture } from './fixtures.ts';

useDamagedSets();

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
      ['info', 'STATISTICS', undefined],
      ['error', 'DATASET_FILE_MISSING', undefined],
      ['info', 'TIMESTAMPS', 1],
      ['info', 'UNUSED_FILE', undefined],
    ]);
  });

  it.each(['__proto__', 'constructor', 'toString'])('takes %s for a type, a column or a joint like any other', async (name) => {
    await writeFixture(root, { version: 'v2.1', lengths: [3], cameras: [] });
    const state = { dtype: name, shape: [2], names: [name, 'b'] };
    // As JSON, where `__proto__` is a key of its own.
    const more = JSON.stringify({ 'observation.state': state }).slice(1, -1) + `,"${name}":{"dtype":"float32","shape":[1],"names":null}`;
    const info = await readFile(path.join(root, 'meta/info.json'), 'utf8');
    await put(root, 'meta/info.json', info.replace(/"observation\.state":\{[^}]*\}/, more));
    const { findings } = await validateDataset(root, { samples: 0, motion: true });
    expect(findings.filter(({ code }) => code === 'SCHEMA').every(({ message }) => !message.includes('[native code]'))).toBe(true);
    await (await openDataset(root)).close();
  });

  it.each(['v2.1', 'v3.0'] as const)('looks at nothing outside the set, and not at a folder again and again: %s', async (version) => {
    await writeFixture(root, { version, lengths: [3], cameras: [] });
    const outside = `${root}-outside`;
    await put(outside, 'episode_000000.parquet', new Uint8Array(1));
    for (const folder of ['data', version === 'v3.0' ? 'meta/episodes' : 'data/chunk-000']) {
      await symlink(outside, path.join(root, folder, 'out'));
      await symlink('.', path.join(root, folder, 'round'));
    }
    const { ok, findings } = await validateDataset(root, { samples: 0 });
    expect(ok).toBe(true);
    // The links themselves are reported, not what they lead to.
    const told = findings.filter(({ code }) => code === 'UNUSED_FILE').map(({ message }) => message.split(' ')[0]);
    expect(told).toEqual(version === 'v3.0' ? ['data/out', 'data/round'] : ['data/chunk-000/out', 'data/chunk-000/round', 'data/out', 'data/round']);
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
