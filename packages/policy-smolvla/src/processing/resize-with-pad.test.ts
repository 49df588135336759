import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RgbImage } from '@zk0/core';
import { resizeWithPad } from './resize-with-pad.ts';

/** The definition, pixel by pixel in float64: `F.interpolate(bilinear, align_corners=False)`, left and top padding, ×2 − 1. */
function reference({ width, height, data }: RgbImage, size: number): Float64Array {
  const ratio = Math.max(width / size, height / size);
  const [w, h] = [Math.trunc(width / ratio), Math.trunc(height / ratio)];
  const result = new Float64Array(3 * size * size).fill(-1);
  const axis = (index: number, from: number, to: number): [number, number, number] => {
    const position = Math.max(0, ((index + 0.5) * from) / to - 0.5);
    const first = Math.min(Math.floor(position), from - 1);
    return [first, Math.min(first + 1, from - 1), position - first];
  };
  for (let y = 0; y < h; y++) {
    const [y0, y1, ty] = axis(y, height, h);
    for (let x = 0; x < w; x++) {
      const [x0, x1, tx] = axis(x, width, w);
      for (let c = 0; c < 3; c++) {
        const at = (row: number, column: number): number => data[(row * width + column) * 3 + c]! / 255;
        const value = (at(y0, x0) * (1 - tx) + at(y0, x1) * tx) * (1 - ty) + (at(y1, x0) * (1 - tx) + at(y1, x1) * tx) * ty;
        result[c * size * size + (size - h + y) * size + (size - w + x)] = value * 2 - 1;
      }
    }
  }
  return result;
}

const image = fc
  .record({ width: fc.integer({ min: 1, max: 40 }), height: fc.integer({ min: 1, max: 40 }), seed: fc.nat() })
  .map(({ width, height, seed }): RgbImage => ({
    width,
    height,
    data: Uint8Array.from({ length: width * height * 3 }, (_, index) => (Math.imul(index + 1, seed | 1) >>> 7) & 255),
  }));

describe('resizing with padding', () => {
  it('is the definition, for any sizes', () => {
    fc.assert(
      fc.property(image, fc.integer({ min: 1, max: 48 }), (picture, size) => {
        fc.pre(Math.trunc(picture.width / Math.max(picture.width / size, picture.height / size)) > 0);
        fc.pre(Math.trunc(picture.height / Math.max(picture.width / size, picture.height / size)) > 0);
        const found = resizeWithPad(picture, size, new Float32Array(3 * size * size));
        const wanted = reference(picture, size);
        let worst = 0;
        for (let index = 0; index < wanted.length; index++) worst = Math.max(worst, Math.abs(found[index]! - wanted[index]!));
        expect(worst).toBeLessThan(2e-5);
      }),
    );
  });

  it('pads on the left and on top with black', () => {
    const white = new Uint8Array(2 * 4 * 3).fill(255);
    expect([...resizeWithPad({ width: 2, height: 4, data: white }, 4, new Float32Array(48)).subarray(0, 4)]).toEqual([-1, -1, 1, 1]);
    const wide = resizeWithPad({ width: 4, height: 2, data: white }, 4, new Float32Array(48));
    expect([...wide.subarray(0, 8)]).toEqual(Array(8).fill(-1));
    expect([...wide.subarray(8, 16)]).toEqual(Array(8).fill(1));
  });

  it('equals torch on a fixed picture', () => {
    // LeRobot's resize_with_pad and × 2 − 1 under torch 2.13.0, first channel.
    const data = Uint8Array.from({ length: 5 * 3 * 3 }, (_, index) => index * 5);
    const found = resizeWithPad({ width: 3, height: 5, data }, 4, new Float32Array(48));
    const expected = [-1, -1, -0.9264706, -0.75, -1, -1, -0.4852941, -0.3088235, -1, -1, -0.0441176, 0.1323529, -1, -1, 0.3970588, 0.5735294];
    expected.forEach((value, index) => {
      expect(found[index]).toBeCloseTo(value, 6);
    });
  });
});
