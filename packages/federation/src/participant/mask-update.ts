import { setImmediate } from 'node:timers/promises';
import { encodeSafetensors, InvalidArgumentError, MemoryTensorSource, sameShape, type Parameters } from '@zk0/core';
import { MASK_BLOCK, quantizeInto, quantizeWeight, type Masks, type Quantization } from '@zk0/secure-aggregation';
import { maskedSpecs } from '../run/secure/masked-file.ts';

/** What is masked. */
export interface MaskUpdateOptions {
  /** What the round began with. */
  readonly global: Parameters;
  readonly trained: Parameters;
  /** Examples that were trained on. */
  readonly weight: number;
  readonly masking: Quantization;
  readonly masks: Masks;
}

/** Elements that are masked between two turns of the event loop: signs of life go on meanwhile. */
const PIECE = 4 * MASK_BLOCK;

/**
 * The change of a round's parameters, weighted, rounded, and masked: the bytes of a file with the one tensor that `maskedSpecs` says.
 *
 * @returns how many values were clipped, beside the bytes.
 * @throws InvalidArgumentError when tensors differ from those that the round began with; SecureAggregationError `SECURE_NON_FINITE`.
 */
export async function maskUpdate({ global, trained, weight, masking, masks }: MaskUpdateOptions): Promise<{ readonly bytes: Uint8Array; readonly clipped: number }> {
  const { specs } = MemoryTensorSource.fromParameters(global);
  const [spec] = maskedSpecs(specs);
  const steps = quantizeWeight(weight, masking);
  const vector = new Int32Array(spec!.shape[0]!);
  const changes = new Float64Array(PIECE);
  vector[0] = steps;
  let [at, clipped] = [1, 0];
  for (const { name, shape } of specs) {
    const [before, after] = [global.get(name)!, trained.get(name)];
    if (after === undefined || !sameShape(shape, after.shape)) throw new InvalidArgumentError(`tensor ${name} is not in the update, or of another shape`);
    for (let start = 0; start < before.data.length; start += PIECE) {
      const piece = changes.subarray(0, Math.min(PIECE, before.data.length - start));
      for (let index = 0; index < piece.length; index++) piece[index] = after.data[start + index]! - before.data[start + index]!;
      clipped += quantizeInto(vector.subarray(at, at + piece.length), piece, steps, masking);
      at += piece.length;
      await setImmediate();
    }
  }
  for (let start = 0; start < vector.length; start += PIECE) {
    masks.apply(vector.subarray(start, start + PIECE));
    await setImmediate();
  }
  return { bytes: encodeSafetensors([{ ...spec!, data: new Uint8Array(vector.buffer) }]), clipped };
}
