import type { AugmentConfig, Random } from '@zk0/core';
import type { DrawnTransform } from './image-transforms.ts';

type Name = keyof AugmentConfig['transforms'];

/** The order in which transforms are applied unless it is random: that of LeRobot's defaults. */
const ORDER: readonly Name[] = ['brightness', 'contrast', 'saturation', 'hue', 'sharpness', 'affine'];

/**
 * Draws what is done to one image: as many transforms as `maxTransforms`, by their weights and none twice, each with values that are
 * uniform over its range (LeRobot's `RandomSubsetApply`).
 */
export function drawTransforms({ transforms, maxTransforms, randomOrder }: AugmentConfig, size: { readonly width: number; readonly height: number }, random: Random): readonly DrawnTransform[] {
  const left = ORDER.filter((name) => transforms[name].weight > 0);
  const drawn: Name[] = [];
  while (drawn.length < maxTransforms && left.length > 0) {
    const total = left.reduce((sum, name) => sum + transforms[name].weight, 0);
    let at = random.uniform() * total;
    let index = 0;
    while (index < left.length - 1 && (at -= transforms[left[index]!].weight) >= 0) index++;
    drawn.push(...left.splice(index, 1));
  }
  if (!randomOrder) drawn.sort((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b));
  return drawn.map((name) => draw(name, transforms, size, random));
}

function draw(name: Name, transforms: AugmentConfig['transforms'], { width, height }: { readonly width: number; readonly height: number }, random: Random): DrawnTransform {
  const between = ([low, high]: readonly [number, number]): number => low + (high - low) * random.uniform();
  if (name !== 'affine') return { name, factor: between(transforms[name].range) };
  const { degrees, translate } = transforms.affine;
  const shift = (most: number): number => Math.round(between([-most, most]));
  return { name, degrees: between(degrees), translate: [shift(translate[0] * width), shift(translate[1] * height)] };
}
