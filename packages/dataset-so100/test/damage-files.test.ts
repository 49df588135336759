import { mkdir, readFile, rm, symlink, truncate, unlink } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { openDataset } from '../src/index.ts';
import { V2_ROWS, V2_VIDEO, editInfo, expectFailure, failure, root, useDamagedSets, v2, v3 } from './damaged-set.ts';
import { fakeMp4, put } from './fixtures.ts';

useDamagedSets();

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
