import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { cudaState } from '../cuda/load.ts';
import { SessionError } from '../errors.ts';
import { ort } from './ort.ts';
import { runtimeFolder } from './runtime-folder.ts';

/** An execution provider of onnxruntime. */
export type Device = 'cpu' | 'webgpu' | 'cuda' | 'tensorrt' | 'dml' | 'coreml' | 'qnn';

const DEVICES: readonly string[] = ['cpu', 'webgpu', 'cuda', 'tensorrt', 'dml', 'coreml', 'qnn'] satisfies Device[];

/** A device this build of onnxruntime knows. */
export interface DeviceInfo {
  readonly device: Device;
  /** Whether the provider's library is installed: bundled with the package, fetched, or linked. */
  readonly installed: boolean;
}

/**
 * The devices this build of onnxruntime knows. Whether the machine has such hardware is known only once a session is
 * made on it.
 */
export function listDevices(): DeviceInfo[] {
  return ort
    .listSupportedBackends()
    .filter(({ name }) => DEVICES.includes(name))
    .map(({ name, bundled }) => ({ device: name as Device, installed: bundled || hasLibrary(name) }));
}

/** Providers that are not bundled are libraries of their own: linked, or beside onnxruntime's. */
function hasLibrary(device: string): boolean {
  if (device === 'cuda' && cudaState().kind === 'linked') return true;
  const file = process.platform === 'win32' ? `onnxruntime_providers_${device}.dll` : `libonnxruntime_providers_${device}.so`;
  return existsSync(join(runtimeFolder(), file));
}

/** What to do when a device cannot be used. */
export function deviceHint(device: Device): string {
  switch (device) {
    case 'cuda':
    case 'tensorrt':
      return (
        'It needs Linux x64, an NVIDIA GPU, its driver, and onnxruntime’s CUDA library with cuBLAS and cuDNN: `zk0-client cuda use` finds and ' +
        'links them, or says what is missing and how to get it. Or use --device webgpu or cpu.'
      );
    case 'webgpu':
      return 'It needs a GPU with a Vulkan, Metal or Direct3D 12 driver. Install the driver, or use --device cpu.';
    case 'cpu':
      return 'The processor is not one onnxruntime-node has a library for; see its list of platforms.';
    case 'dml':
    case 'coreml':
    case 'qnn':
      return `${device} exists on ${device === 'coreml' ? 'macOS' : 'Windows'} only. Use --device webgpu or cpu.`;
  }
}

/** Settings with which a session refuses a model that would not run on its device alone, but partly on the processor. */
export function deviceConfig(device: Device): Readonly<Record<string, string>> {
  // On the others, what computes shapes and conditions lives on the processor by design.
  return device === 'webgpu' ? { 'session.disable_cpu_ep_fallback': '1' } : {};
}

/** Fails fast when a device is not in this build of onnxruntime, or its library is not installed. */
export function requireDevice(device: Device): void {
  const known = listDevices();
  const info = known.find((candidate) => candidate.device === device);
  if (info?.installed === true) return;
  const state = cudaState();
  const reason =
    info === undefined
      ? `is not in this build of onnxruntime (${process.platform}-${process.arch} has ${known.map((k) => k.device).join(', ')})`
      : device === 'cuda' && state.kind === 'broken'
        ? `cannot be used: ${state.reason}`
        : 'needs a library that is not installed';
  throw new SessionError('DEVICE_UNAVAILABLE', `device ${device} ${reason}`, { hint: deviceHint(device) });
}
