import { describe, expect, it } from 'vitest';
import { MAX_PIECE_BYTES, MIN_PIECE_BYTES, Pieces } from './pieces.ts';

/** Sizes of pieces on a line of so many bytes a second. */
function sizes(bytesPerSecond: number, count: number, pieces = new Pieces()): number[] {
  return Array.from({ length: count }, () => {
    const { size } = pieces;
    pieces.took(size, (size / bytesPerSecond) * 1000);
    return size;
  });
}

describe('the pieces of an upload', () => {
  it('grow on a fast line up to their bound, at most twofold each time', () => {
    expect(sizes(1e9, 9)).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 128].map((size) => size << 20));
    expect(MAX_PIECE_BYTES).toBe(128 << 20);
  });

  it('shrink on a thin line to two seconds of it, and no further than their bound', () => {
    expect(sizes(200_000, 4)).toEqual([1 << 20, 400_000, 400_000, 400_000]);
    expect(sizes(1000, 3)).toEqual([1 << 20, MIN_PIECE_BYTES, MIN_PIECE_BYTES]);
  });

  it('do not grow or shrink because the last one was short', () => {
    const pieces = new Pieces();
    pieces.took(10, 0);
    pieces.took(10, 1e6);
    expect(pieces.size).toBe(1 << 20);
  });

  it('halve when one fails, stay so small for a while, and then try the double again', () => {
    const pieces = new Pieces();
    sizes(1e9, 3, pieces);
    expect(pieces.failed()).toBe(true);
    expect(pieces.size).toBe(4 << 20);
    expect(sizes(1e9, 18, pieces)).toEqual([...Array.from({ length: 16 }, () => 4 << 20), 8 << 20, 8 << 20]);
  });

  it('are not made smaller for ever', () => {
    const pieces = new Pieces();
    expect(Array.from({ length: 5 }, () => pieces.failed())).toEqual([true, true, true, true, false]);
    expect(pieces.size).toBe(1 << 16);
  });
});
