import type { JointConvention } from '@zk0/core';

/** Degrees (per cent of a gripper's range) that one unit of a joint's values is; null where it is not known. */
export function degreesPerUnit({ unit, degreesPerUnit: known }: JointConvention): number | null {
  switch (unit) {
    case 'degrees':
    case 'degrees-2024':
    case 'percent':
      return 1;
    case 'normalized':
      return known ?? 1;
    case 'radians':
      return 180 / Math.PI;
    case 'ticks':
      return 360 / 4096;
    case 'unknown':
      return null;
  }
}
