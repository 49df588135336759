import './no-telemetry.ts';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { listSupportedBackends } from 'onnxruntime-node';
import { SessionError } from '../errors.ts';

/** An execution provider of onnxruntime. */
export type Device = 'cpu' | 'webgpu' | 'cuda' | 'tensorrt' | 'dml' | 'coreml' | 'qnn';

const DEVICES: readonly string[] = ['cpu', 'webgpu', 'cuda', 'tensorrt', 'dml', 'coreml', 'qnn'] satisfies Device[];

/** A device this build of onnxruntime knows. */
export interface DeviceInfo {
  readonly device: Device;
  /** Whether the provider's library is installed: bundled with the package, or fetched. */
  readonly installed: boolean;
}

/**
 * The devices this build of onnxruntime knows. Whether the machine has such hardware is known only once a session is
 * made on it.
 */
export function listDevices(): DeviceInfo[] {
  return listSupportedBackends()
    .filter(({ name }) => DEVICES.includes(name))
    .map(({ name, bundled }) => ({ device: name as Device, installed: bundled || hasLibrary(name) }));
}

/** Providers that are not bundled are libraries of their own beside onnxruntime's. */
function hasLibrary(device: string): boolean {
  const folder = join(
    dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json')),
    'bin/napi-v6',
    process.platform,
    process.arch,
  );
  const file = process.platform === 'win32' ? `onnxruntime_providers_${device}.dll` : `libonnxruntime_providers_${device}.so`;
  return existsSync(join(folder, file));
}

/** What to do when a device cannot be used. */
export function deviceHint(device: Device): string {
  switch (device) {
    case 'cuda':
    case 'tensorrt':
      return (
        'It needs Linux x64, an NVIDIA GPU, its driver, CUDA 12 and cuDNN 9. Fetch the provider once with ' +
        '`ONNXRUNTIME_NODE_INSTALL=cuda12 node node_modules/onnxruntime-node/script/install.js`, or use --device webgpu or cpu.'
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
  const reason =
    info === undefined
      ? `is not in this build of onnxruntime (${process.platform}-${process.arch} has ${known.map((k) => k.device).join(', ')})`
      : 'needs a library that is not installed';
  throw new SessionError('DEVICE_UNAVAILABLE', `device ${device} ${reason}`, { hint: deviceHint(device) });
}
