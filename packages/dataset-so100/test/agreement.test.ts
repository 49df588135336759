import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { datasetProfile } from '@zk0/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { alignRecordings, alignToTarget, openDataset, openDatasets, parseDatasetUri, readAlignmentTarget, TARGET_FILE, tryRecordings, writeAlignmentTarget } from '../src/index.ts';
import { writeFixture } from './fixtures.ts';
import { NAMES, recordArm } from './recorded-arm.ts';

let folder = '';
const [one, other] = ['one', 'other'].map((name) => (): string => path.join(folder, name)) as [() => string, () => string];
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'zk0-agreement-'));
  await writeFixture(one(), { version: 'v3.0', lengths: [3, 4] });
  await writeFixture(other(), { version: 'v2.1', lengths: [3] });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const TOP = 'observation.images.top';

describe('one list of renamings for several datasets', () => {
  it('is done in those that have the camera', async () => {
    const datasets = await openDatasets([one(), other()], { rename: { [TOP]: 'observation.images.camera1' } });
    for (const { info } of datasets) expect(info.cameras).toMatchObject([{ key: 'observation.images.camera1', recordedAs: TOP }]);
    await Promise.all(datasets.map((dataset) => dataset.close()));
  });

  it('with a camera that none of them has is refused, all sides listed', async () => {
    await expect(openDatasets([one(), other()], { rename: { front: 'x' } })).rejects.toMatchObject({
      code: 'DATASET_CAMERA_UNKNOWN',
      message: expect.stringMatching(/"front".*one has \[observation\.images\.top\], other has \[observation\.images\.top\]/) as string,
    });
  });
});

describe('units in an address', () => {
  it('are those of that dataset', async () => {
    expect(parseDatasetUri('/data/arm?units=radians')).toMatchObject({ path: '/data/arm', units: 'radians' });
    expect(() => parseDatasetUri('/data/arm?units=feet')).toThrow('"feet" are not known');
    const dataset = await openDataset(`${one()}?units=radians`);
    await dataset.close();
    expect(new Set(dataset.info.joints!.state.map(({ unit, confidence }) => `${unit} ${confidence}`))).toEqual(new Set(['radians 1']));
  });
});

describe('what a checkpoint says of its recordings', () => {
  const given = recordArm({ units: 'degrees', seed: 1 });
  const { target } = alignRecordings(new Map(), datasetProfile(given.dataset.info));

  it('brings other recordings to it as the run did, and tells nothing of the recordings themselves', async () => {
    await writeAlignmentTarget(folder, target);
    const read = (await readAlignmentTarget(folder))!;
    expect(read).toMatchObject({ fps: 30, stateNames: NAMES.since2025, recording: undefined, joints: target.joints });
    const permuted = recordArm({ units: 'normalized', seed: 2, order: [5, 4, 3, 2, 1, 0] });
    const { dataset, notes } = alignToTarget(permuted.dataset, read, 'the policy');
    expect(notes.join()).toMatch(/reordered.*normalized to degrees/);
    for (const frame of [0, 450, 899]) dataset.state(frame).forEach((value, i) => { expect(Math.abs(value - permuted.truth[frame * 6 + i]!)).toBeLessThan(0.15); });
    expect(() => alignToTarget(recordArm({ units: 'ticks', seed: 3 }).dataset, read, 'the policy')).toThrow('does not agree with the recordings of the policy');
  });

  it('leaves out units that nobody was sure of', async () => {
    const unsure = recordArm({ units: 'degrees', seed: 4, isSmooth: true, reach: 0.1, robotType: 'unknown', names: NAMES.none });
    await writeAlignmentTarget(folder, alignRecordings(new Map(), datasetProfile(unsure.dataset.info)).target);
    const read = (await readAlignmentTarget(folder))!;
    expect(read.joints).toBeNull();
    expect(alignToTarget(unsure.dataset, read, 'the policy').dataset).toBe(unsure.dataset);
  });

  it('is nothing where there is no such file, and an error where it is damaged', async () => {
    expect(await readAlignmentTarget(path.join(folder, 'elsewhere'))).toBeNull();
    for (const text of ['{', '{"fps": 30}', JSON.stringify({ ...target, ranges: undefined, recording: undefined, joints: { state: [], action: [] } })]) {
      await writeFile(path.join(folder, TARGET_FILE), text);
      await expect(readAlignmentTarget(folder)).rejects.toMatchObject({ code: 'DATASET_METADATA' });
    }
    await writeFile(path.join(folder, TARGET_FILE), `version https://git-lfs.github.com/spec/v1\noid sha256:${'cd'.repeat(32)}\nsize 1000\n`);
    await expect(readAlignmentTarget(folder)).rejects.toMatchObject({ code: 'DATASET_FILE_POINTER' });
  });
});

describe('trying recordings for a policy', () => {
  const judge = (checkRecordings: () => void): Parameters<typeof tryRecordings>[2] => ({ directory: path.join(folder, 'elsewhere'), checkRecordings, describeTasks: () => [] });

  it('fails as a run would: for what the policy does not take, and for what cannot be decoded', async () => {
    const cameras = (): void => {
      throw new Error('no camera for wrist');
    };
    await expect(tryRecordings(one(), {}, judge(cameras))).rejects.toThrow('no camera for wrist');
    // The videos of these fixtures hold no pictures.
    await expect(tryRecordings(one(), {}, judge(() => undefined))).rejects.toMatchObject({ code: 'DATASET_FRAME' });
  });
});
