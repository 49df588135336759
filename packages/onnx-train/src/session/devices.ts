import { listSupportedBackends } from 'onnxruntime-node';
import { SessionError } from '../errors.ts';

/** An execution provider of onnxruntime. */
export type Device = 'cpu' | 'webgpu' | 'cuda' | 'tensorrt' | 'dml' | 'coreml' | 'qnn';

const DEVICES: readonly string[] = ['cpu', 'webgpu', 'cuda', 'tensorrt', 'dml', 'coreml', 'qnn'] satisfies Device[];

/** A device this build of onnxruntime knows. */
export interface DeviceInfo {
  readonly device: Device;
  /** Its library came with the npm package; otherwise it must have been fetched first. */
  readonly bundled: boolean;
}

/** The devices this build of onnxruntime knows. Whether the machine has one is known only once a session is made on it. */
export function listDevices(): DeviceInfo[] {
  return listSupportedBackends()
    .filter(({ name }) => DEVICES.includes(name))
    .map(({ name, bundled }) => ({ device: name as Device, bundled }));
}

/** What to do when a device cannot be used. */
export function deviceHint(device: Device): string {
  switch (device) {
    case 'cuda':
    case 'tensorrt':
      return (
        'It needs an NVIDIA GPU, its driver, CUDA 12 and cuDNN 9. Fetch the provider once with ' +
        '`npm rebuild onnxruntime-node --onnxruntime-node-install=cuda12`, or use --device webgpu or cpu.'
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

/** Fails fast when this build of onnxruntime does not know a device. */
export function requireKnown(device: Device): void {
  const known = listDevices().map((info) => info.device);
  if (known.includes(device)) return;
  throw new SessionError(
    'DEVICE_UNAVAILABLE',
    `device ${device} is not in this build of onnxruntime (${process.platform}-${process.arch} has ${known.join(', ')})`,
    { hint: deviceHint(device) },
  );
}
