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
    expect(sizes(1e9, 6)).toEqual([4, 8, 16, 32, 32, 32].map((size) => size << 20));
  });

  it('shrink on a thin line to two seconds of it, and no further than their bound', () => {
    expect(sizes(1e6, 4)).toEqual([4 << 20, 2_000_000, 2_000_000, 2_000_000]);
    expect(sizes(1000, 3)).toEqual([4 << 20, MIN_PIECE_BYTES, MIN_PIECE_BYTES]);
    expect(MAX_PIECE_BYTES).toBe(32 << 20);
  });

  it('do not grow because the last one was short', () => {
    const pieces = new Pieces();
    pieces.took(10, 0);
    expect(pieces.size).toBe(4 << 20);
  });

  it('halve when something refuses them for their size, and never grow past that again', () => {
    const pieces = new Pieces();
    expect(pieces.refused()).toBe(true);
    expect(pieces.refused()).toBe(true);
    expect(pieces.size).toBe(1 << 20);
    expect(sizes(1e9, 3, pieces)).toEqual([1 << 20, 1 << 20, 1 << 20]);
    expect(pieces.refused()).toBe(true);
    expect(sizes(1e9, 2, pieces)).toEqual([1 << 19, 1 << 19]);
    for (let count = 0; count < 3; count++) expect(pieces.refused()).toBe(true);
    expect(pieces.size).toBe(1 << 16);
    expect(pieces.refused()).toBe(false);
  });
});
