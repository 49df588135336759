import { inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { pngOf, renderPng, shrinkToFit } from './index.ts';

const image = (width: number, height: number, at: (x: number, y: number) => number[]): { width: number; height: number; data: Uint8Array } => ({
  width,
  height,
  data: Uint8Array.from(Array.from({ length: width * height }, (_, i) => at(i % width, Math.floor(i / width))).flat()),
});

describe('pngOf', () => {
  it('holds the pixels, line by line', () => {
    const pixels = image(3, 2, (x, y) => [x, y, 200]);
    const png = pngOf(pixels);
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([3, 2]);
    const at = png.indexOf('IDAT');
    const lines = inflateSync(png.subarray(at + 4, at + 4 + png.readUInt32BE(at - 4)));
    expect([...lines]).toEqual([0, 0, 0, 200, 1, 0, 200, 2, 0, 200, 0, 0, 1, 200, 1, 1, 200, 2, 1, 200]);
  });

  it('refuses bytes that are no image of the size', () => {
    expect(() => pngOf({ width: 2, height: 2, data: new Uint8Array(11) })).toThrow('11 bytes are no 2×2 RGB image');
  });
});

describe('shrinkToFit', () => {
  it('averages, keeps the proportions, and never enlarges', () => {
    const board = image(8, 4, (x, y) => ((x + y) % 2 === 0 ? [0, 100, 50] : [200, 100, 70]));
    const half = shrinkToFit(board, { width: 4, height: 4 });
    expect([half.width, half.height]).toEqual([4, 2]);
    expect([...half.data.subarray(0, 3)]).toEqual([100, 100, 60]);
    expect(shrinkToFit(board, { width: 80, height: 80 })).toBe(board);
    expect(shrinkToFit(board, { width: 3, height: 3 }).data).toHaveLength(3 * 2 * 3);
  });
});

describe('renderPng', () => {
  it('draws a picture that is part of a chart, with twice as many pixels as points', async () => {
    const white = await renderPng({}, { width: 40, height: 20 });
    const red = `data:image/png;base64,${pngOf(image(2, 2, () => [255, 0, 0])).toString('base64')}`;
    const graphic = [{ type: 'image' as const, style: { image: red, x: 0, y: 0, width: 40, height: 20 } }];
    const png = await renderPng({ graphic }, { width: 40, height: 20 });
    expect([Buffer.from(png).readUInt32BE(16), Buffer.from(png).readUInt32BE(20)]).toEqual([80, 40]);
    expect(png).not.toEqual(white);
  });
});
