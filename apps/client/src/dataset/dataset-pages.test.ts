import { textWidth } from '@zk0/cli';
import type { Finding, ValidationReport } from '@zk0/dataset-so100';
import { describe, expect, it } from 'vitest';
import { layOut } from './contact-sheet.ts';
import { evenly } from './samples.ts';
import { repairText, validationText, verdict } from './validation-report.ts';

const finding = (severity: Finding['severity'], code: Finding['code'], message: string): Finding => ({ severity, code, message });
const report: ValidationReport = {
  uri: '/data/\u001b[31mset',
  ok: false,
  cameras: null,
  findings: [
    finding('info', 'QUIRK', 'The rows have no column "task_index".'),
    finding('error', 'DATASET_FILE_MISSING', 'a.mp4 is missing'),
    ...Array.from({ length: 50 }, (_, i) => finding('warning', 'BLACK_CAMERA', `Episode ${i}: observation.images.top is black.`)),
  ],
  counts: { error: { DATASET_FILE_MISSING: 1 }, warning: { BLACK_CAMERA: 80 }, info: { QUIRK: 1 } },
  contents: {},
  scores: [],
  checked: { episodes: 1, frames: 5, videoFiles: 0, imagesDecoded: 0 },
};

describe('validationText', () => {
  it('puts the worst first, shows some of many, says what to do, and lets no control characters through', () => {
    const text = validationText(report, Infinity);
    expect(text).not.toContain('\u001b');
    expect(['ERRORS', 'DATASET_FILE_MISSING', 'WARNINGS', 'BLACK_CAMERA ×80', 'NOTES'].map((word) => text.indexOf(word))).toEqual(
      [...['ERRORS', 'DATASET_FILE_MISSING', 'WARNINGS', 'BLACK_CAMERA ×80', 'NOTES'].map((word) => text.indexOf(word))].sort((a, b) => a - b),
    );
    expect(text).toContain('and 77 more; --json lists them');
    expect(text).toContain('--drop black');
    expect(verdict(report)).toBe('NOT usable: 1 error, 80 warnings, 1 note');
  });

  it('fits a narrow terminal', () => {
    expect(Math.max(...validationText(report, 60).split('\n').map(textWidth))).toBeLessThanOrEqual(60);
  });
});

it('tells what a repair changed once, with the episodes it was done to', () => {
  const text = repairText(
    {
      path: '/copy',
      episodes: 3,
      frames: 30,
      tasks: ['t'],
      changes: [{ message: 'statistics computed anew' }, ...[0, 1, 3].map((episode) => ({ episode, message: 'timestamps put on the grid' }))],
      dropped: [{ episode: 2, reason: 'black', message: 'observation.images.top is black' }],
      leftOut: ['next.done'],
    },
    Infinity,
  );
  expect(text).toContain('· timestamps put on the grid (episodes 0-1,3)');
  expect(text).toContain('· episode 2 is black: observation.images.top is black');
  expect(text).toContain('next.done');
});

describe('contact sheets', () => {
  const camera = { key: 'c', width: 640, height: 480 };

  it.each([1, 2, 3])('stay within bounds with %i cameras', (cameras) => {
    const { width, height, tile } = layOut(Array.from({ length: cameras }, () => camera), 8);
    expect(width).toBeLessThanOrEqual(1600);
    expect(height).toBeLessThan(2000);
    expect(tile.width).toBeGreaterThanOrEqual(140);
    expect(tile.height / tile.width).toBeCloseTo(0.75, 1);
  });

  it('choose evenly, the ends among them', () => {
    expect(evenly(3, 8)).toEqual([0, 1, 2]);
    expect(evenly(100, 4)).toEqual([0, 33, 66, 99]);
    expect(evenly(5, 1)).toEqual([0]);
  });
});
