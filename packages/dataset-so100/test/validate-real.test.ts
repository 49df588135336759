import { describe, expect, it } from 'vitest';
import { inspectDataset, validateDataset } from '../src/index.ts';
import { hasRealData, realSet } from './real-data.ts';

describe.skipIf(!hasRealData)('validation of real recordings (skipped without ../shared/data or ZK0_TEST_DATA)', () => {
  it('finds the quirks of the two-arm set: drifting clocks, a black camera, no task_index', async () => {
    const report = await validateDataset(realSet('so101_bimanual_cloth'));
    expect(report.ok).toBe(true);
    expect(report.checked).toEqual({ episodes: 13, frames: 3045, videoFiles: 26, imagesDecoded: 130 });
    // Besides the black camera, its stats.json is not of these rows, and LeRobot's v2.1 would want statistics by episode.
    expect(report.counts).toEqual({
      error: {},
      warning: { BLACK_CAMERA: 1, STATISTICS: 2 },
      info: { TIMESTAMPS: 13, QUIRK: 1, STATISTICS: 1, FRAME_RATE: 13, SCHEMA: 2 },
    });
    expect(report.findings).toContainEqual(
      expect.objectContaining({ code: 'BLACK_CAMERA', episode: 0, camera: 'observation.images.cam0' }),
    );
  });

  it('finds the uneven clock of the CR5 set', async () => {
    const report = await validateDataset(realSet('cr5_banana_plate'), { samples: 2 });
    expect(report.ok).toBe(true);
    expect(report.counts).toEqual({ error: {}, warning: {}, info: { TIMESTAMPS: 18, FRAME_RATE: 2 } });
    const { drift, cameras, state, action } = await inspectDataset(realSet('cr5_banana_plate'));
    // Its longest step is 0.27 s where 0.1 s belong.
    expect(drift.step).toBeCloseTo(0.174, 3);
    expect(drift.fromGrid).toBeCloseTo(2.17, 2);
    expect(cameras).toEqual([{ key: 'observation.images.top', height: 480, width: 640, codec: 'av01' }]);
    expect([state.length, action.length]).toEqual([6, 7]);
  });

  it('finds nothing wrong with a clean v3.0 set', async () => {
    const report = await validateDataset(realSet('so101_no_camera'));
    expect(report).toMatchObject({ ok: true, checked: { episodes: 3, frames: 2094 } });
    expect(report.counts).toEqual({ error: {}, warning: {}, info: {} });
  });

  it('names the missing video and inspects the rest', async () => {
    const uri = realSet('so101_one_episode');
    const report = await validateDataset(uri);
    expect(report.ok).toBe(false);
    // Its image statistics are those of LeRobot's overflowing pixel squares: a spread of 0 (lerobot #3682).
    expect(report.counts).toEqual({ error: { DATASET_FILE_MISSING: 1 }, warning: { SPREAD: 1 }, info: {} });
    const inspection = await inspectDataset(uri);
    expect(inspection).toMatchObject({ episodes: 1, frames: 461, tasks: [{ text: 'Pick up the box', episodes: 1, frames: 461 }] });
    expect(inspection.cameras).toEqual([{ key: 'observation.images.front', height: 1080, width: 1920, codec: null }]);
    expect(inspection.problems).toEqual([expect.stringContaining('file-000.mp4 is missing')]);
  });
});
