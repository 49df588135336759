import { describe, expect, it } from 'vitest';
import { renderPng, thumbnail } from './index.ts';

const pixels = (width: number, height: number, rgb: readonly number[]): Parameters<typeof thumbnail>[0] => ({
  width,
  height,
  data: Uint8Array.from(Array.from({ length: width * height }, () => rgb).flat()),
});

/** Width and height from the PNG header. */
function sizeOf(png: Uint8Array): [number, number] {
  const bytes = Buffer.from(png);
  return [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
}

describe('thumbnail', () => {
  it('keeps the proportions, and never enlarges', async () => {
    expect(sizeOf(await thumbnail(pixels(8, 4, [1, 2, 3]), { width: 4, height: 4 }))).toEqual([4, 2]);
    expect(sizeOf(await thumbnail(pixels(8, 4, [1, 2, 3]), { width: 80, height: 80 }))).toEqual([8, 4]);
  });

  it('refuses bytes that are no image of the size', async () => {
    await expect(thumbnail({ width: 2, height: 2, data: new Uint8Array(11) }, { width: 2, height: 2 })).rejects.toThrow();
  });
});

describe('renderPng', () => {
  it('draws a picture that is part of a chart, with twice as many pixels as points', async () => {
    const white = await renderPng({}, { width: 40, height: 20 });
    const red = `data:image/png;base64,${(await thumbnail(pixels(2, 2, [255, 0, 0]), { width: 9, height: 9 })).toString('base64')}`;
    const graphic = [{ type: 'image' as const, style: { image: red, x: 0, y: 0, width: 40, height: 20 } }];
    const png = await renderPng({ graphic }, { width: 40, height: 20 });
    expect(sizeOf(png)).toEqual([80, 40]);
    expect(png).not.toEqual(white);
  });
});
