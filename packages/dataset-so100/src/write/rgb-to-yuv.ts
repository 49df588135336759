/** Bytes of a YUV 4:2:0 image: a full luma plane and two chroma planes of half the width and height. */
export function yuv420Bytes(width: number, height: number): number {
  return (width * height * 3) / 2;
}

/**
 * Converts 8-bit RGB to planar YUV 4:2:0 (BT.601, limited range: what decoders assume of small video without colour
 * tags), chroma averaged over 2 × 2 pixels. Width and height are even. Integer arithmetic: the same bytes everywhere.
 *
 * @param rgb `height × width × 3` bytes, row-major.
 * @param yuv receives Y, then U, then V; {@link yuv420Bytes} long.
 */
export function rgbToYuv420(rgb: Uint8Array, width: number, height: number, yuv: Uint8Array): void {
  const chromaWidth = width >> 1;
  const uPlane = width * height;
  const vPlane = uPlane + chromaWidth * (height >> 1);
  const stride = width * 3;
  for (let y = 0; y < height; y += 2) {
    for (let x = 0; x < width; x += 2) {
      const topLeft = y * stride + x * 3;
      const bottomLeft = topLeft + stride;
      const luma = y * width + x;
      yuv[luma] = lumaOf(rgb, topLeft);
      yuv[luma + 1] = lumaOf(rgb, topLeft + 3);
      yuv[luma + width] = lumaOf(rgb, bottomLeft);
      yuv[luma + width + 1] = lumaOf(rgb, bottomLeft + 3);
      const red = rgb[topLeft]! + rgb[topLeft + 3]! + rgb[bottomLeft]! + rgb[bottomLeft + 3]!;
      const green = rgb[topLeft + 1]! + rgb[topLeft + 4]! + rgb[bottomLeft + 1]! + rgb[bottomLeft + 4]!;
      const blue = rgb[topLeft + 2]! + rgb[topLeft + 5]! + rgb[bottomLeft + 2]! + rgb[bottomLeft + 5]!;
      const chroma = (y >> 1) * chromaWidth + (x >> 1);
      yuv[uPlane + chroma] = ((-9714 * red - 19070 * green + 28784 * blue + ROUND_CHROMA) >> 18) + 128;
      yuv[vPlane + chroma] = ((28784 * red - 24103 * green - 4681 * blue + ROUND_CHROMA) >> 18) + 128;
    }
  }
}

/** Half of 2^18: the sums above are over four pixels, the coefficients in 1/65536. */
const ROUND_CHROMA = 1 << 17;

function lumaOf(rgb: Uint8Array, offset: number): number {
  return ((16829 * rgb[offset]! + 33039 * rgb[offset + 1]! + 6416 * rgb[offset + 2]! + 32768) >> 16) + 16;
}
