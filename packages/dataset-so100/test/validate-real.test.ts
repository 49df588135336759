import { describe, expect, it } from 'vitest';
import { inspectDataset, validateDataset, type ValidationReport } from '../src/index.ts';
import { hasRealData, realSet } from './real-data.ts';

/** Codes of the findings, counted. */
function tally(report: ValidationReport): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { severity, code } of report.findings) counts[`${severity} ${code}`] = (counts[`${severity} ${code}`] ?? 0) + 1;
  return counts;
}

describe.skipIf(!hasRealData)('validation of real recordings (skipped without ../shared/data or ZK0_TEST_DATA)', () => {
  it('finds the quirks of the two-arm set: drifting clocks, a black camera, no task_index', async () => {
    const report = await validateDataset(realSet('so101_bimanual_cloth'));
    expect(report.ok).toBe(true);
    expect(report.checked).toEqual({ episodes: 13, frames: 3045, videoFiles: 26, imagesDecoded: 130 });
    expect(tally(report)).toMatchObject({ 'info TIMESTAMPS': 13, 'info QUIRK': 1, 'warning BLACK_CAMERA': 1 });
    expect(report.findings).toContainEqual(
      expect.objectContaining({ code: 'BLACK_CAMERA', episode: 0, camera: 'observation.images.cam0' }),
    );
  });

  it('finds the uneven clock of the CR5 set', async () => {
    const report = await validateDataset(realSet('cr5_banana_plate'), { samples: 2 });
    expect(report.ok).toBe(true);
    expect(tally(report)).toMatchObject({ 'info TIMESTAMPS': 18 });
  });

  it('finds nothing wrong with a clean v3.0 set', async () => {
    const report = await validateDataset(realSet('so101_no_camera'));
    expect(report).toMatchObject({ ok: true, checked: { episodes: 3, frames: 2094 } });
    expect(report.findings.filter(({ severity }) => severity !== 'info')).toEqual([]);
  });

  it('names the missing video and inspects the rest', async () => {
    const uri = realSet('so101_one_episode');
    const report = await validateDataset(uri);
    expect(report.ok).toBe(false);
    expect(tally(report)).toEqual({ 'error DATASET_FILE_MISSING': 1 });
    const inspection = await inspectDataset(uri);
    expect(inspection).toMatchObject({ episodes: 1, frames: 461, tasks: [{ text: 'Pick up the box', episodes: 1, frames: 461 }] });
    expect(inspection.cameras).toEqual([{ key: 'observation.images.front', height: 1080, width: 1920, codec: null }]);
    expect(inspection.problems).toEqual([expect.stringContaining('file-000.mp4 is missing')]);
  });
});
