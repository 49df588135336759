import sharp, { type Sharp } from 'sharp';
import type { RgbImage } from '@zk0/core';
import { MAX_IMAGE_SIDE } from '../limits.ts';

// Pictures are decoded once and not again: libvips need not remember them.
sharp.cache(false);
// A thread a picture is enough: several are decoded at once.
sharp.concurrency(1);

/**
 * Decodes a PNG or JPEG to RGB, byte for byte as Pillow does, with which LeRobot reads: no colour management, turned as
 * its Exif data says; grey and palettes become RGB, transparency is dropped.
 *
 * @param bytes the whole file
 * @param expected the size that it must have; it is read from the header before anything is decoded
 * @throws Error saying what is wrong
 */
export async function decodePicture(
  bytes: Uint8Array,
  expected: { readonly width: number; readonly height: number },
): Promise<RgbImage & { readonly data: Uint8Array<ArrayBuffer> }> {
  // Only these two decoders are let near foreign bytes; libvips knows many more.
  if (!isPng(bytes) && !isJpeg(bytes)) throw new Error('it is neither PNG nor JPEG');
  const picture = sharp(bytes, { ignoreIcc: true, failOn: 'warning', limitInputPixels: MAX_IMAGE_SIDE ** 2, sequentialRead: true });
  await checkHeader(picture, expected);
  const { data, info } = await picture.autoOrient().removeAlpha().toColourspace('srgb').raw().toBuffer({ resolveWithObject: true });
  if (info.channels !== 3) throw new Error(`it has ${info.channels} channels`);
  return { width: info.width, height: info.height, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
}

/**
 * The size of a PNG or JPEG once turned as its Exif data says, from its header.
 *
 * @throws Error saying what is wrong
 */
export async function pictureSize(bytes: Uint8Array): Promise<{ readonly width: number; readonly height: number }> {
  if (!isPng(bytes) && !isJpeg(bytes)) throw new Error('it is neither PNG nor JPEG');
  const { width, height } = (await sharp(bytes).metadata()).autoOrient;
  return { width, height };
}

async function checkHeader(picture: Sharp, expected: { readonly width: number; readonly height: number }): Promise<void> {
  const { autoOrient, depth, space, pages } = await picture.metadata();
  const { width, height } = autoOrient;
  if (width !== expected.width || height !== expected.height) {
    throw new Error(`it has ${height}×${width} pixels, the dataset says ${expected.height}×${expected.width}`);
  }
  // Pillow itself reads these in ways that no policy was trained on.
  if (depth !== 'uchar') throw new Error(`its samples are of type ${depth}, not of 8 bits`);
  if (space === 'cmyk') throw new Error('its colours are CMYK');
  if ((pages ?? 1) > 1) throw new Error('it is animated');
}

function isPng(bytes: Uint8Array): boolean {
  return [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a].every((value, i) => bytes[i] === value);
}

function isJpeg(bytes: Uint8Array): boolean {
  return bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff;
}
