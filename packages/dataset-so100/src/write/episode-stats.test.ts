import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  mergeStatistics,
  sampledImageIndices,
  STATISTIC_NAMES,
  vectorStatistics,
  type FeatureStatistics,
} from './episode-stats.ts';
import { countLevels, episodeImageStatistics } from './image-levels.ts';

type Listed = Record<(typeof STATISTIC_NAMES)[number], number[]>;
interface Case {
  readonly values: number[][];
  readonly statistics: Listed;
}

/** What the real LeRobot computes: see `test/golden/make_statistics.py`. */
const golden = JSON.parse(
  readFileSync(path.join(import.meta.dirname, '../../test/golden/statistics.json'), 'utf8'),
) as {
  readonly vectors: Case[];
  readonly merged: Listed;
  readonly single: Case;
  readonly images: { readonly pixels: number[][][][]; readonly statistics: Listed };
  readonly samples: Record<string, number[]>;
};

function expectEqual(ours: FeatureStatistics, theirs: Listed, digits = 10): void {
  for (const name of STATISTIC_NAMES) {
    const values = name === 'count' ? [ours.count] : ours[name];
    expect(values).toHaveLength(theirs[name].length);
    values.forEach((value, index) => {
      expect(value, `${name}[${index}]`).toBeCloseTo(theirs[name][index]!, digits);
    });
  }
}

const statisticsOf = ({ values }: Case): FeatureStatistics => vectorStatistics(values.flat(), values[0]!.length);

describe('statistics as LeRobot computes them', () => {
  it('of vectors, a joint that never moves included', () => {
    for (const vectors of golden.vectors) expectEqual(statisticsOf(vectors), vectors.statistics);
  });

  it('of a single frame', () => {
    expectEqual(statisticsOf(golden.single), golden.single.statistics);
  });

  it('merged over episodes', () => {
    expectEqual(mergeStatistics(golden.vectors.map(statisticsOf)), golden.merged);
  });

  it('of images, scaled to 0 … 1', async () => {
    const { pixels, statistics } = golden.images;
    const [height, width] = [pixels[0]!.length, pixels[0]![0]!.length];
    const levels = pixels.map((image) => countLevels({ height, width, data: Uint8Array.from(image.flat(2)) }));
    expectEqual(await episodeImageStatistics(levels.length, (frame) => levels[frame]!), statistics);
  });

  it('over the images that it samples', () => {
    for (const [length, indices] of Object.entries(golden.samples)) {
      expect(sampledImageIndices(Number(length))).toEqual(indices);
    }
  });
});

describe('mergeStatistics', () => {
  it('gives mean, spread and range of all values together', () => {
    const values = fc.array(fc.double({ min: -1e3, max: 1e3, noNaN: true }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(fc.array(values, { minLength: 1, maxLength: 5 }), (episodes) => {
        const merged = mergeStatistics(episodes.map((episode) => vectorStatistics(episode, 1)));
        const whole = vectorStatistics(episodes.flat(), 1);
        expect(merged.count).toBe(whole.count);
        for (const name of ['min', 'max', 'mean', 'std'] as const) {
          expect(merged[name][0]).toBeCloseTo(whole[name][0]!, 6);
        }
      }),
    );
  });
});

describe('vectorStatistics', () => {
  it('gives quantiles in order and inside the range', () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 50 }),
        (values) => {
          const { min, q01, q10, q50, q90, q99, max } = vectorStatistics(values, 1);
          const sequence = [min, q01, q10, q50, q90, q99, max].map(([value]) => value!);
          const slack = 1e-9 + 1e-9 * Math.max(...values.map(Math.abs));
          if (values.length === 1) return;
          for (let i = 1; i < sequence.length; i++)
            expect(sequence[i]! + slack).toBeGreaterThanOrEqual(sequence[i - 1]!);
        },
      ),
    );
  });
});
