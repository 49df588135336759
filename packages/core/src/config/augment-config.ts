import * as z from 'zod';

const range = (low: number, high: number) => z.tuple([z.number().min(low).max(high), z.number().min(low).max(high)]);
const ascending = ({ range: [low, high] }: { readonly range: readonly [number, number] }): boolean => low <= high;
const ORDER = { message: 'the range ends before it begins' };
const weight = z.number().min(0).max(1000).default(1);
/** Factors: 1 leaves an image as it is. */
const factor = (low: number, high: number) => z.strictObject({ weight, range: range(0, 10).default([low, high]) }).refine(ascending, ORDER).prefault({});

/** Which changes of images are drawn, with LeRobot's names and defaults (`dataset.image_transforms.tfs`); a weight of 0 leaves one out. */
const transformsSchema = z
  .strictObject({
    brightness: factor(0.8, 1.2),
    contrast: factor(0.8, 1.2),
    saturation: factor(0.5, 1.5),
    /** Turns of the colour circle. */
    hue: z.strictObject({ weight, range: range(-0.5, 0.5).default([-0.05, 0.05]) }).refine(ascending, ORDER).prefault({}),
    sharpness: factor(0.5, 1.5),
    affine: z
      .strictObject({
        weight,
        degrees: range(-180, 180).default([-5, 5]),
        /** Shares of width and height, at most, either way. */
        translate: range(0, 1).default([0.05, 0.05]),
      })
      .refine(({ degrees: [low, high] }) => low <= high, ORDER)
      .prefault({}),
  })
  .refine((transforms) => Object.values(transforms).some((one) => one.weight > 0), { message: 'every weight is 0' });

/** How images of training are varied. */
export const augmentSchema = z.strictObject({
  /** Variants of each frame that are trained on beside the frame itself. Each takes as much of a cache as a frame. */
  variants: z.int().min(1).max(64),
  /** Most changes of one image (LeRobot's `max_num_transforms`). */
  maxTransforms: z.int().min(1).max(6).default(3),
  /** In the order drawn, or always in that of the list (LeRobot's `random_order`). */
  randomOrder: z.boolean().default(false),
  transforms: transformsSchema.prefault({}),
});

/** How images are varied. */
export type AugmentConfig = z.infer<typeof augmentSchema>;
