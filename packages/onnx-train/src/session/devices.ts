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
  const folder = join(runtimeFolder(), 'bin/napi-v6', process.platform, process.arch);
  const file = process.platform === 'win32' ? `onnxruntime_providers_${device}.dll` : `libonnxruntime_providers_${device}.so`;
  return existsSync(join(folder, file));
}

/**
 * The package that onnxruntime's libraries are loaded from: the one that `ZK0_ONNXRUNTIME` names, the one for this platform that comes with
 * an installed `@zk0/onnx-train`, or onnxruntime-node itself.
 */
function runtimeFolder(): string {
  const named = process.env['ZK0_ONNXRUNTIME'];
  if (named !== undefined && named !== '') return named;
  const { resolve } = createRequire(import.meta.url);
  try {
    return dirname(resolve(`@zk0/onnxruntime-${process.platform}-${process.arch}/package.json`));
  } catch {
    return dirname(resolve('onnxruntime-node/package.json'));
  }
}

/** What to do when a device cannot be used. */
export function deviceHint(device: Device): string {
  switch (device) {
    case 'cuda':
    case 'tensorrt':
      return (
        'It needs Linux x64, an NVIDIA GPU, its driver, CUDA 12 and cuDNN 9, and the provider’s library, which is fetched once: ' +
        'docs/accelerators.md says how. Or use --device webgpu or cpu.'
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
