import { describe, expect, it } from 'vitest';
import { smallConfig } from '../../test/model-config.ts';
import { patchRows } from './patch-positions.ts';

function rows(side: number, tableSide: number, patchPositions: 'exact' | 'shifted'): number[] {
  const vision = { ...smallConfig.vision, patchSize: 1, imageSize: tableSide };
  return patchRows({ ...smallConfig, vision, imageSize: side, patchPositions });
}

/** Positions along one side, from the first row of patches. */
function line(side: number, tableSide: number, patchPositions: 'exact' | 'shifted'): number[] {
  return rows(side, tableSide, patchPositions).slice(0, side);
}

describe('the position of a patch', () => {
  it.each([2, 4, 8, 16, 32, 64])('is its own in a table of its size (%i)', (side) => {
    expect(rows(side, side, 'exact')).toEqual(Array.from({ length: side * side }, (_, index) => index));
  });

  it('is shifted by one where transformers 4.55 to 4.57 round it down', () => {
    expect(line(4, 4, 'shifted')).toEqual([0, 0, 1, 2]);
    expect(rows(2, 2, 'shifted')).toEqual([0, 0, 0, 0]);
  });

  it('spreads a smaller image over the table, and a larger one within it', () => {
    expect(line(4, 8, 'exact')).toEqual([0, 2, 4, 6]);
    expect(line(8, 4, 'exact')).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
    expect(rows(2, 4, 'exact')).toEqual([0, 2, 8, 10]);
  });
});
