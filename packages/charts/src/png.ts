import { crc32, deflateSync } from 'node:zlib';

/** 8-bit RGB pixels, row-major, `height × width × 3` bytes. */
export interface RgbPixels {
  readonly height: number;
  readonly width: number;
  readonly data: Uint8Array;
}

const SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex');
/** Bits a sample, colour type RGB, and the only compression, filter and interlace methods that need no more code. */
const RGB8 = Buffer.from([8, 2, 0, 0, 0]);

/** Codes an image as PNG (ISO 15948), without loss. @throws RangeError when the bytes do not fit the size */
export function pngOf({ height, width, data }: RgbPixels): Buffer {
  if (data.length !== height * width * 3) throw new RangeError(`${data.length} bytes are no ${height}×${width} RGB image`);
  const stride = width * 3;
  // Each line begins with the number of its filter; 0 is none.
  const lines = Buffer.alloc(height * (stride + 1));
  for (let y = 0; y < height; y++) lines.set(data.subarray(y * stride, (y + 1) * stride), y * (stride + 1) + 1);
  const header = Buffer.concat([uint32(width), uint32(height), RGB8]);
  return Buffer.concat([SIGNATURE, chunk('IHDR', header), chunk('IDAT', deflateSync(lines)), chunk('IEND', Buffer.alloc(0))]);
}

/**
 * Shrinks an image to fit a box by averaging the pixels that fall onto each new one; an image that fits is returned as
 * it is.
 */
export function shrinkToFit(image: RgbPixels, box: { readonly width: number; readonly height: number }): RgbPixels {
  const scale = Math.min(box.width / image.width, box.height / image.height);
  if (scale >= 1) return image;
  const width = Math.max(1, Math.round(image.width * scale));
  const height = Math.max(1, Math.round(image.height * scale));
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const [top, bottom] = span(y, height, image.height);
    for (let x = 0; x < width; x++) {
      const [left, right] = span(x, width, image.width);
      const sums = [0, 0, 0];
      for (let row = top; row < bottom; row++) {
        for (let column = left; column < right; column++) {
          const pixel = (row * image.width + column) * 3;
          for (let channel = 0; channel < 3; channel++) sums[channel]! += image.data[pixel + channel]!;
        }
      }
      const pixels = (bottom - top) * (right - left);
      for (let channel = 0; channel < 3; channel++) data[(y * width + x) * 3 + channel] = Math.round(sums[channel]! / pixels);
    }
  }
  return { width, height, data };
}

/** The old pixels that the new one at `index` covers: from, up to. */
function span(index: number, size: number, oldSize: number): [number, number] {
  const from = Math.floor((index * oldSize) / size);
  return [from, Math.max(from + 1, Math.floor(((index + 1) * oldSize) / size))];
}

function chunk(type: string, content: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), content]);
  return Buffer.concat([uint32(content.length), body, uint32(crc32(body))]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
