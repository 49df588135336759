import { copyFile, mkdir, symlink, unlink } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { openDataset } from '../src/index.ts';
import { V2_ROWS, editInfo, expectFailure, root, useDamagedSets, v2 } from './damaged-set.ts';
import { put, writeFixture } from './fixtures.ts';

useDamagedSets();

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
      await expectFailure('DATASET_PATH', "outside the dataset's folder");
    },
  );

  it('refuses a camera whose name climbs out', async () => {
    await v2();
    await editInfo((info) => {
      info.features['../../../x'] = { dtype: 'video', shape: [8, 16, 3], names: null };
    });
    await expectFailure('DATASET_PATH', "outside the dataset's folder");
  });

  it('refuses a link that leads out, and follows those of the hub cache', async () => {
    await v2();
    const outside = path.join(path.dirname(root), 'outside.parquet');
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

describe('renaming cameras', () => {
  it('renames, and names both sides of a mismatch', async () => {
    await v2();
    const dataset = await openDataset(root, { rename: { 'observation.images.top': 'observation.images.camera1' } });
    expect(dataset.info.cameras[0]!.key).toBe('observation.images.camera1');
    expect(dataset.videoPosition(0, 'observation.images.camera1').file).toContain('observation.images.top');
    expect(() => dataset.videoPosition(0, 'observation.images.top')).toThrow(
      'has no camera "observation.images.top"; it has: observation.images.camera1',
    );
    // Caches are kept by name; who has the same recordings is told by what was recorded.
    const plain = await openDataset(root);
    expect(dataset.info.contentHash).not.toBe(plain.info.contentHash);
    expect([dataset.info.recordedHash, plain.info.recordedHash]).toEqual([plain.info.contentHash, undefined]);
    await plain.close();
    await dataset.close();
    await expectFailure('DATASET_CAMERA_UNKNOWN', 'Cannot rename "front": .* has the cameras observation.images.top', {
      rename: { front: 'x' },
    });
  });
});
