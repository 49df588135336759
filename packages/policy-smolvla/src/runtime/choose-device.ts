import { availableParallelism } from 'node:os';
import { deviceHint, listDevices, resolveDevice, SessionError, tryDevice, type Device, type DeviceChoice } from '@zk0/onnx-train';
import { InvalidArgumentError } from '@zk0/core';

/**
 * Resolves `auto` to the first of CUDA and WebGPU that starts here and is faster than the processor, else to the processor.
 *
 * @throws SessionError DEVICE_UNAVAILABLE, with the reason, when a device that was asked for by name cannot be used.
 */
export async function chooseDevice(wanted: string): Promise<DeviceChoice> {
  if (wanted === 'cpu') return { device: 'cpu', rejected: [] };
  const known = listDevices().map((info) => info.device);
  if (wanted === 'auto') return resolveDevice((['cuda', 'webgpu'] as const).filter((device) => known.includes(device)));
  const device = known.find((candidate) => candidate === wanted);
  if (device === undefined) throw unavailable(undefined, `no device ${wanted}: onnxruntime here has ${known.join(', ')}`);
  const trial = await tryDevice(device);
  if ('reason' in trial) throw unavailable(device, trial.reason, trial.hint);
  return { device, rejected: [] };
}

function unavailable(device: Device | undefined, reason: string, hint?: string): SessionError {
  return new SessionError('DEVICE_UNAVAILABLE', reason, {
    hint: hint ?? (device === undefined ? 'Use --device auto or cpu.' : deviceHint(device)),
  });
}

/** The number of CPU threads to use. */
export function chooseThreads(wanted: number | undefined): number {
  if (wanted === undefined) return availableParallelism();
  if (Number.isSafeInteger(wanted) && wanted >= 1) return wanted;
  throw new InvalidArgumentError(`threads ${wanted} is not a whole number of at least 1`);
}
