import type { RgbImage } from '@zk0/core';

/** For every output position along one axis: the two source positions and the weight of the second. */
interface AxisPlan {
  readonly first: Int32Array;
  readonly second: Int32Array;
  readonly weight: Float32Array;
}

interface ResizePlan {
  readonly width: number;
  readonly height: number;
  readonly padLeft: number;
  readonly padTop: number;
  readonly horizontal: AxisPlan;
  readonly vertical: AxisPlan;
}

/**
 * Scales an RGB image into a `size × size` square, aspect kept, padded on the left and on top, as SigLIP takes it:
 * float32, channels first, −1 … 1, padding −1.
 *
 * Same arithmetic as LeRobot's `resize_with_pad` (lerobot/policies/smolvla/modeling_smolvla.py) followed by `×2 − 1`:
 * torch's bilinear interpolation with half-pixel centres and no antialiasing.
 *
 * @param into receives `3 × size × size` values
 */
export function resizeWithPad(image: RgbImage, size: number, into: Float32Array): Float32Array {
  const plan = planResize(image, size);
  const plane = size * size;
  into.fill(-1);
  const rows = new RowCache(image, plan.horizontal);
  const scale = 2 / 255;
  for (let y = 0; y < plan.height; y++) {
    const upper = rows.get(plan.vertical.first[y]!, plan.vertical.second[y]!);
    const lower = rows.get(plan.vertical.second[y]!, plan.vertical.first[y]!);
    const weight = plan.vertical.weight[y]!;
    const rest = 1 - weight;
    let target = (plan.padTop + y) * size + plan.padLeft;
    for (let source = 0; source < plan.width * 3; source += 3, target++) {
      into[target] = (upper[source]! * rest + lower[source]! * weight) * scale - 1;
      into[target + plane] = (upper[source + 1]! * rest + lower[source + 1]! * weight) * scale - 1;
      into[target + 2 * plane] = (upper[source + 2]! * rest + lower[source + 2]! * weight) * scale - 1;
    }
  }
  return into;
}

function planResize({ width, height }: RgbImage, size: number): ResizePlan {
  const ratio = Math.max(width / size, height / size);
  const scaledWidth = Math.trunc(width / ratio);
  const scaledHeight = Math.trunc(height / ratio);
  return {
    width: scaledWidth,
    height: scaledHeight,
    padLeft: size - scaledWidth,
    padTop: size - scaledHeight,
    horizontal: planAxis(width, scaledWidth),
    vertical: planAxis(height, scaledHeight),
  };
}

function planAxis(from: number, to: number): AxisPlan {
  const first = new Int32Array(to);
  const second = new Int32Array(to);
  const weight = new Float32Array(to);
  // float32 as in torch: in float64 a position can fall on the other side of a pixel's edge.
  const step = Math.fround(from / to);
  for (let index = 0; index < to; index++) {
    const position = Math.max(0, Math.fround(Math.fround(step * Math.fround(index + 0.5)) - 0.5));
    const below = Math.min(Math.trunc(position), from - 1);
    first[index] = below;
    second[index] = Math.min(below + 1, from - 1);
    weight[index] = position - below;
  }
  return { first, second, weight };
}

/** The last two source rows, stretched horizontally: neighbouring output rows share them. */
class RowCache {
  readonly #image: RgbImage;
  readonly #plan: AxisPlan;
  readonly #rows: { index: number; readonly values: Float32Array }[];

  constructor(image: RgbImage, plan: AxisPlan) {
    this.#image = image;
    this.#plan = plan;
    this.#rows = [0, 1].map(() => ({ index: -1, values: new Float32Array(plan.first.length * 3) }));
  }

  /** The stretched row `index`; `keep` is the row that must stay cached. */
  get(index: number, keep: number): Float32Array {
    const hit = this.#rows.find((row) => row.index === index);
    if (hit !== undefined) return hit.values;
    const free = this.#rows.find((row) => row.index !== keep)!;
    free.index = index;
    this.#stretch(index, free.values);
    return free.values;
  }

  #stretch(y: number, into: Float32Array): void {
    const { data, width } = this.#image;
    const { first, second, weight } = this.#plan;
    const base = y * width * 3;
    for (let x = 0, target = 0; x < first.length; x++) {
      const left = base + first[x]! * 3;
      const right = base + second[x]! * 3;
      const share = weight[x]!;
      const rest = 1 - share;
      into[target++] = data[left]! * rest + data[right]! * share;
      into[target++] = data[left + 1]! * rest + data[right + 1]! * share;
      into[target++] = data[left + 2]! * rest + data[right + 2]! * share;
    }
  }
}
