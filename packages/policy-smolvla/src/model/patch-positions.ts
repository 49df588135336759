import { modelSizes, type SmolVlaModelConfig } from './config.ts';

/**
 * Which row of the position table each patch of an image gets, row-major. transformers finds it by comparing float32
 * fractions with float32 bucket boundaries, so its rounding is repeated here.
 */
export function patchRows(config: SmolVlaModelConfig): number[] {
  const { patchesPerSide: count } = modelSizes(config);
  const tableSide = Math.floor(config.vision.imageSize / config.vision.patchSize);
  const boundaries = bucketBoundaries(tableSide);
  const buckets = Array.from({ length: count }, (_, index) => {
    const fraction = config.patchPositions === 'exact' ? exactFraction(index, count) : shiftedFraction(index, count);
    return boundaries.filter((boundary) => boundary <= fraction).length;
  });
  return buckets.flatMap((row) => buckets.map((column) => row * tableSide + column));
}

/** `torch.arange(1 / side, 1.0, 1 / side)`: rounding may add a last boundary of about 1. */
function bucketBoundaries(side: number): number[] {
  const step = 1 / side;
  const length = Math.ceil((1 - step) / step);
  return Array.from({ length }, (_, index) => Math.fround(step + index * step));
}

/** transformers 5: a float32 step, clamped below 1. */
function exactFraction(index: number, count: number): number {
  return Math.min(Math.fround(index * Math.fround(1 / count)), Math.fround(1 - 1e-6));
}

/** transformers 4.55 to 4.57: the factor puts every fraction just below its own bucket. */
function shiftedFraction(index: number, count: number): number {
  return Math.fround(Math.fround(index / count) * Math.fround(1 - 1e-6));
}
