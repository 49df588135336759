import sharp from 'sharp';

/** 8-bit RGB pixels, row-major, `height × width × 3` bytes. */
export interface RgbPixels {
  readonly height: number;
  readonly width: number;
  readonly data: Uint8Array;
}

/** The image as PNG bytes, shrunk to fit a box where it is larger; its proportions stay. */
export async function thumbnail(
  { height, width, data }: RgbPixels,
  box: { readonly width: number; readonly height: number },
): Promise<Buffer> {
  return await sharp(data, { raw: { width, height, channels: 3 } })
    .resize({ ...box, fit: 'inside', withoutEnlargement: true })
    .png()
    .toBuffer();
}
