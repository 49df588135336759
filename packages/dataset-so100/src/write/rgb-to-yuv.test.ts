import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rgbToYuv420, yuv420Bytes } from './rgb-to-yuv.ts';

function convertFlat(red: number, green: number, blue: number): number[] {
  const yuv = new Uint8Array(yuv420Bytes(2, 2));
  rgbToYuv420(Uint8Array.from([0, 1, 2, 3].flatMap(() => [red, green, blue])), 2, 2, yuv);
  expect([...yuv.subarray(1, 4)]).toEqual([yuv[0], yuv[0], yuv[0]]);
  return [yuv[0]!, yuv[4]!, yuv[5]!];
}

describe('rgbToYuv420', () => {
  it('gives the values of BT.601, limited range', () => {
    expect(convertFlat(0, 0, 0)).toEqual([16, 128, 128]);
    expect(convertFlat(255, 255, 255)).toEqual([235, 128, 128]);
    expect(convertFlat(255, 0, 0)).toEqual([81, 90, 240]);
    expect(convertFlat(0, 255, 0)).toEqual([145, 54, 34]);
    expect(convertFlat(0, 0, 255)).toEqual([41, 240, 110]);
  });

  it('can be turned back into the colour, to within rounding', () => {
    const channel = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(channel, channel, channel, (red, green, blue) => {
        const [y, u, v] = convertFlat(red, green, blue) as [number, number, number];
        const luma = 1.164383 * (y - 16);
        const back = [
          luma + 1.596027 * (v - 128),
          luma - 0.391762 * (u - 128) - 0.812968 * (v - 128),
          luma + 2.017232 * (u - 128),
        ];
        [red, green, blue].forEach((value, index) => {
          expect(Math.abs(value - back[index]!)).toBeLessThan(2.5);
        });
      }),
    );
  });

  it('averages colour over 2 × 2 pixels and puts the planes one after the other', () => {
    const [width, height] = [4, 2];
    const black = [0, 0, 0];
    const white = [255, 255, 255];
    const blue = [0, 0, 255];
    const yuv = new Uint8Array(yuv420Bytes(width, height));
    rgbToYuv420(Uint8Array.from([white, black, blue, blue, black, white, blue, blue].flat()), width, height, yuv);
    expect([...yuv]).toEqual([235, 16, 41, 41, 16, 235, 41, 41, 128, 240, 128, 110]);
  });
});
