/** One plane of a picture: 8-bit samples, `stride` bytes from row to row. */
export interface Plane {
  readonly bytes: Uint8Array;
  readonly stride: number;
}

/**
 * Converts 4:2:0 planes to RGB, byte for byte as swscale does with the instructions of an x86 processor (its `yuv2rgb`
 * for pictures that are not scaled): BT.601 and 16 … 235, with 13-bit coefficients and the high halves of 16-bit
 * products. PyAV, and so LeRobot, gets this whatever an AV1 file says of its colours.
 *
 * @param into `width × height × 3` bytes
 */
export function yuvToRgb(
  planes: { readonly y: Plane; readonly u: Plane; readonly v: Plane },
  size: { readonly width: number; readonly height: number },
  into: Uint8Array,
): void {
  const { y, u, v } = planes;
  const { width, height } = size;
  let out = 0;
  for (let row = 0; row < height; row++) {
    const luma = row * y.stride;
    const blue = (row >> 1) * u.stride;
    const red = (row >> 1) * v.stride;
    for (let x = 0; x < width; x++) {
      const level = LUMA[y.bytes[luma + x]!]!;
      const cb = u.bytes[blue + (x >> 1)]!;
      const cr = v.bytes[red + (x >> 1)]!;
      into[out++] = clip(level + CR_TO_RED[cr]!);
      into[out++] = clip(level + CB_TO_GREEN[cb]! + CR_TO_GREEN[cr]!);
      into[out++] = clip(level + CB_TO_BLUE[cb]!);
    }
  }
}

function clip(value: number): number {
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

/** `pmulhw` of every sample, in eighths above `offset`, with a coefficient in 1/65536 that is kept in 1/8192. */
function highProducts(coefficient: number, offset: number): Int16Array {
  const factor = Math.floor(coefficient / 8 + 0.5);
  return Int16Array.from({ length: 256 }, (_, sample) => ((sample - offset) * 8 * factor) >> 16);
}

/** What each sample adds to a colour. The coefficients are libswscale's (`ff_yuv2rgb_coeffs`). */
const LUMA = highProducts(Math.trunc((65_536 * 255) / 219), 16);
const CR_TO_RED = highProducts(104_597, 128);
const CB_TO_GREEN = highProducts(-25_675, 128);
const CR_TO_GREEN = highProducts(-53_279, 128);
const CB_TO_BLUE = highProducts(132_201, 128);
