import { InvalidArgumentError } from '@zk0/core';
import { reasonAgainstPrecision, SessionError, type Device, type ProductType } from '@zk0/onnx-train';
import type { TrainingPlace } from './model-runtime.ts';

const PRECISIONS: readonly ProductType[] = ['float32', 'float16', 'bfloat16'];

/**
 * Resolves `auto` to float16 on CUDA, whose tensor cores are several times faster with it, and to float32 elsewhere.
 *
 * @throws SessionError PRECISION_UNAVAILABLE, with the reason, when the device cannot compute with what was asked for.
 */
export async function choosePrecision(wanted: string, device: Device): Promise<ProductType> {
  const auto = device === 'cuda' ? 'float16' : 'float32';
  const precision = wanted === 'auto' ? auto : PRECISIONS.find((candidate) => candidate === wanted);
  if (precision === undefined) {
    throw new InvalidArgumentError(`no precision ${wanted}: there are auto, ${PRECISIONS.join(', ')}`);
  }
  const reason = await reasonAgainstPrecision(device, precision);
  if (reason === undefined) return precision;
  throw new SessionError('PRECISION_UNAVAILABLE', `device ${device} cannot compute in ${precision}: ${reason}`, {
    hint: 'Use --precision auto.',
  });
}

/** Whether tensors of 16-bit floats can be fed to a device. */
export async function takesFloat16(device: Device): Promise<boolean> {
  return device !== 'webgpu' || (await reasonAgainstPrecision(device, 'float16')) === undefined;
}

/** Where the optimiser belongs on a device. */
export function trainingPlace(device: Device): TrainingPlace {
  if (device === 'cpu') return 'host';
  return device === 'webgpu' ? 'stepwise' : 'loop';
}
