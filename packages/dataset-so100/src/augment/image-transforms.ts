import type { RgbImage } from '@zk0/core';

/**
 * The image transforms of LeRobot's `image_transforms`, as torchvision 0.28 computes them on float tensors. An image is three planes of
 * values 0 … 1, interleaved.
 */
export interface FloatImage {
  readonly width: number;
  readonly height: number;
  /** `height × width × 3` values. */
  readonly data: Float32Array;
}

/** One transform with what was drawn for it. */
export type DrawnTransform =
  | { readonly name: 'brightness' | 'contrast' | 'saturation' | 'sharpness'; readonly factor: number }
  /** Turns of the colour circle. */
  | { readonly name: 'hue'; readonly factor: number }
  /** Degrees, clockwise, and whole pixels to the right and down. */
  | { readonly name: 'affine'; readonly degrees: number; readonly translate: readonly [number, number] };

/** Applies transforms one after the other; the image given is not changed. */
export function transformImage(image: RgbImage, transforms: readonly DrawnTransform[]): RgbImage {
  const start: FloatImage = { width: image.width, height: image.height, data: Float32Array.from(image.data, (byte) => byte / 255) };
  const { data } = transforms.reduce(applyTransform, start);
  return { width: image.width, height: image.height, data: Uint8Array.from(data, (value) => Math.round(value * 255)) };
}

/** Applies one transform. */
export function applyTransform(image: FloatImage, transform: DrawnTransform): FloatImage {
  switch (transform.name) {
    case 'brightness':
      return mapped(image, (value) => transform.factor * value);
    case 'contrast': {
      const mean = meanOf(grey(image.data));
      return mapped(image, (value) => blend(value, mean, transform.factor));
    }
    case 'saturation': {
      const greys = grey(image.data);
      return mapped(image, (value, i) => blend(value, greys[Math.floor(i / 3)]!, transform.factor));
    }
    case 'sharpness':
      return sharpened(image, transform.factor);
    case 'hue':
      return turned(image, transform.factor);
    case 'affine':
      return moved(image, transform.degrees, transform.translate);
  }
}

function blend(value: number, other: number, factor: number): number {
  return factor * value + (1 - factor) * other;
}

function mapped({ width, height, data }: FloatImage, change: (value: number, index: number) => number): FloatImage {
  return { width, height, data: data.map((value, index) => Math.min(1, Math.max(0, change(value, index)))) };
}

/** Brightness by the weights of ITU-R BT.601, as torchvision rounds them. */
function grey(data: Float32Array): Float32Array {
  return Float32Array.from({ length: data.length / 3 }, (_, i) => 0.2989 * data[3 * i]! + 0.587 * data[3 * i + 1]! + 0.114 * data[3 * i + 2]!);
}

function meanOf(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

/** Away from, or towards, the image smoothed by `1 1 1, 1 5 1, 1 1 1` over 13; the border stays as it is. */
function sharpened(image: FloatImage, factor: number): FloatImage {
  const { width, height, data } = image;
  if (width <= 2 || height <= 2) return image;
  const smooth = data.slice();
  const row = width * 3;
  for (let y = 1; y < height - 1; y++) {
    for (let i = y * row + 3; i < (y + 1) * row - 3; i++) {
      const around =
        data[i - row - 3]! + data[i - row]! + data[i - row + 3]! + data[i - 3]! + data[i + 3]! + data[i + row - 3]! + data[i + row]! + data[i + row + 3]!;
      smooth[i] = (around + 5 * data[i]!) / 13;
    }
  }
  return mapped(image, (value, i) => blend(value, smooth[i]!, factor));
}

/** Turns every colour on the circle of hues, its saturation and value kept. */
function turned({ width, height, data }: FloatImage, turn: number): FloatImage {
  const into = new Float32Array(data.length);
  for (let i = 0; i < data.length; i += 3) {
    const [red, green, blue] = [data[i]!, data[i + 1]!, data[i + 2]!];
    const value = Math.max(red, green, blue);
    const chroma = value - Math.min(red, green, blue);
    if (chroma === 0) {
      into.fill(value, i, i + 3);
      continue;
    }
    const sextant = value === red ? (green - blue) / chroma : value === green ? 2 + (blue - red) / chroma : 4 + (red - green) / chroma;
    const hue = (((sextant / 6 + turn) % 1) + 1) % 1;
    for (let channel = 0; channel < 3; channel++) {
      // Red has its largest share at 0, green at a third, blue at two thirds.
      const place = (5 - 2 * channel + 6 * hue) % 6;
      const at = (place + 6) % 6;
      into[i + channel] = value - chroma * Math.max(0, Math.min(at, 4 - at, 1));
    }
  }
  return { width, height, data: into };
}

/** Turns and shifts an image around its middle: the nearest pixel is taken, and black beyond the border. */
function moved({ width, height, data }: FloatImage, degrees: number, [right, down]: readonly [number, number]): FloatImage {
  const angle = (degrees * Math.PI) / 180;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const into = new Float32Array(data.length);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i += 3) {
      const [fromMiddleX, fromMiddleY] = [x + 0.5 - width / 2 - right, y + 0.5 - height / 2 - down];
      const sourceX = roundHalfToEven(cos * fromMiddleX + sin * fromMiddleY + width / 2 - 0.5);
      const sourceY = roundHalfToEven(-sin * fromMiddleX + cos * fromMiddleY + height / 2 - 0.5);
      if (sourceX < 0 || sourceY < 0 || sourceX >= width || sourceY >= height) continue;
      const from = (sourceY * width + sourceX) * 3;
      for (let channel = 0; channel < 3; channel++) into[i + channel] = data[from + channel]!;
    }
  }
  return { width, height, data: into };
}

function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
