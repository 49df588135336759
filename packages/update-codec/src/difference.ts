import type { TensorSource } from '@zk0/core';
import type { DecodedUpdate } from './decode.ts';
import { readValues, valueSource } from './value-source.ts';

/** `a − b`, each value rounded to float32 once; `plus` is added to that and the sum rounded to float32 again. */
export function difference(a: TensorSource, b: TensorSource, plus: TensorSource | null = null): TensorSource {
  return valueSource(a.specs, async ({ name }, first, values) => {
    const other = new Float32Array(values.length);
    await readValues(a, name, first, values);
    await readValues(b, name, first, other);
    for (let index = 0; index < values.length; index++) values[index] = values[index]! - other[index]!;
    if (plus === null) return;
    await readValues(plus, name, first, other);
    for (let index = 0; index < values.length; index++) values[index] = values[index]! + other[index]!;
  });
}

/** The parameters that an update makes of those that it is a difference to: `base + difference`, each value rounded to float32 once. */
export function appliedTo(base: TensorSource, update: DecodedUpdate): TensorSource {
  if (update.kind === 'weights') return update.tensors;
  return valueSource(base.specs, async ({ name }, first, values) => {
    const other = new Float32Array(values.length);
    await readValues(base, name, first, values);
    await readValues(update.tensors, name, first, other);
    for (let index = 0; index < values.length; index++) values[index] = values[index]! + other[index]!;
  });
}
