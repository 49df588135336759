import { availableParallelism } from 'node:os';
import { listDevices, resolveDevice, SessionError, type Device } from '@zk0/onnx-train';
import { InvalidArgumentError } from '@zk0/core';

/**
 * Resolves `auto` to CUDA where it starts, else to the CPU. (WebGPU runs everything too, but is slower than the CPU on
 * the machines where it is emulated, which cannot be told from here: it has to be asked for.)
 *
 * @throws SessionError DEVICE_UNAVAILABLE, with the reason, when a device that was asked for by name cannot be used.
 */
export async function chooseDevice(wanted: string): Promise<Device> {
  if (wanted === 'cpu') return 'cpu';
  const known = listDevices().map((info) => info.device);
  if (wanted === 'auto') return known.includes('cuda') ? (await resolveDevice(['cuda'])).device : 'cpu';
  const device = known.find((candidate) => candidate === wanted);
  const reason = device === undefined ? `no device ${wanted}: onnxruntime here has ${known.join(', ')}` : await reasonAgainst(device);
  if (device !== undefined && reason === undefined) return device;
  throw new SessionError('DEVICE_UNAVAILABLE', reason?.replaceAll(/\s+/g, ' ').trim() ?? `no device ${wanted}`, {
    hint: `Install what ${wanted} needs (see the README of @zk0/onnx-train), or use --device cpu.`,
  });
}

/** Execution providers in this build of onnxruntime; whether one starts on this machine, {@link chooseDevice} finds out. */
export function availableDevices(): readonly string[] {
  return listDevices().map(({ device }) => device);
}

/** The number of CPU threads to use. */
export function chooseThreads(wanted: number | undefined): number {
  if (wanted === undefined) return availableParallelism();
  if (Number.isSafeInteger(wanted) && wanted >= 1) return wanted;
  throw new InvalidArgumentError(`threads ${wanted} is not a whole number of at least 1`);
}

async function reasonAgainst(device: Device): Promise<string | undefined> {
  const { rejected } = await resolveDevice([device]);
  return rejected[0]?.reason;
}
