import { createHash } from 'node:crypto';
import type { RgbImage } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import { listEpisodes, openDataset, requireCameras } from '../src/index.ts';
import { hasRealData, realSet } from './real-data.ts';

function hashOf(image: RgbImage): string {
  return createHash('sha256').update(image.data).digest('hex');
}

describe.skipIf(!hasRealData)('real recordings (skipped without ../shared/data or ZK0_TEST_DATA)', () => {
  it('opens a home-made v2.1 set with its quirks', async () => {
    const dataset = await openDataset(realSet('so101_bimanual_cloth'));
    expect(dataset.version).toBe('v2.1');
    expect(dataset.info.frameCount).toBe(3045);
    expect(dataset.info.episodes).toHaveLength(13);
    expect(dataset.info.episodes[1]).toEqual({ episodeIndex: 1, from: 348, to: 628 });
    expect(dataset.info.fps).toBe(20);
    expect(dataset.info.stateNames).toHaveLength(12);
    expect(dataset.info.cameras).toEqual([
      { key: 'observation.images.cam0', height: 224, width: 224 },
      { key: 'observation.images.cam1', height: 224, width: 224 },
    ]);
    expect(dataset.task(0)).toBe('bimanual cloth manipulation');
    expect(Array.from(dataset.state(1)).slice(0, 3)).toEqual([2007, 1498, 2343]);
    expect(dataset.drift.fromGrid).toBeCloseTo(1.3636, 3);
    expect(dataset.warnings).toEqual([expect.stringContaining('27.3 frames')]);
    await dataset.close();
  });

  it('decodes MPEG-4 and AV1 frames, in any order the same', async () => {
    for (const name of ['so101_bimanual_cloth', 'cr5_banana_plate'] as const) {
      const dataset = await openDataset(`${realSet(name)}?episodes=1`);
      const keys = dataset.info.cameras.map((camera) => camera.key);
      const frames = [0, 1, 2, 3, 57, 56, 120, 12, dataset.info.frameCount - 1];
      const hashesAt = async (frame: number): Promise<string[]> => (await dataset.images(frame, keys)).map(hashOf);
      const once = await Promise.all(frames.map(hashesAt));
      const again = await Promise.all([...frames].reverse().map(hashesAt));
      expect(again.reverse()).toEqual(once);
      expect(once[4]).not.toEqual(once[5]);
      const { height, width } = dataset.info.cameras[0]!;
      const [image] = await dataset.images(0, keys.slice(0, 1));
      expect([image!.height, image!.width, image!.data.length]).toEqual([height, width, height * width * 3]);
      await dataset.close();
    }
  });

  it('opens a v3.0 set and says that it has no cameras', async () => {
    const dataset = await openDataset(realSet('so101_no_camera'));
    expect(dataset.version).toBe('v3.0');
    expect(dataset.info.episodes.map(({ from, to }) => to - from)).toEqual([1549, 270, 275]);
    expect(dataset.info.tasks).toEqual(['Pick up the cube']);
    expect(() => {
      requireCameras(dataset.info);
    }).toThrow(expect.objectContaining({ code: 'DATASET_NO_CAMERAS' }));
    await dataset.close();
  });

  it('names the video that is missing', async () => {
    await expect(openDataset(realSet('so101_one_episode'))).rejects.toMatchObject({
      code: 'DATASET_FILE_MISSING',
      message: expect.stringContaining('file-000.mp4 is missing') as string,
    });
    await expect(listEpisodes(realSet('so101_one_episode'))).resolves.toEqual([
      { episodeIndex: 0, length: 461, tasks: ['Pick up the box'] },
    ]);
  });

  it('keeps recorded numbers when a subset is opened', async () => {
    const dataset = await openDataset(`${realSet('cr5_banana_plate')}?episodes=3,16-17`);
    expect(dataset.info.episodes.map((episode) => episode.episodeIndex)).toEqual([3, 16, 17]);
    expect(dataset.info.episodes[1]!.from).toBe(209);
    expect(dataset.locate(209)).toEqual({ episode: 1, position: 0 });
    expect(dataset.videoPosition(210, 'observation.images.top')).toEqual({
      file: expect.stringContaining('episode_000016.mp4') as string,
      timestamp: 0.1,
    });
    const { actions, isPad } = dataset.actionChunk(207, 4);
    expect(Array.from(isPad)).toEqual([0, 0, 1, 1]);
    expect(actions.slice(14, 21)).toEqual(actions.slice(7, 14));
    await dataset.close();
  });
});
