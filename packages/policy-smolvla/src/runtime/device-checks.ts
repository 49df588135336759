import { describeTrial, deviceDetails } from './device-details.ts';

/** One question about this machine's devices, as `doctor` commands ask them. */
export interface DeviceCheck {
  readonly name: string;
  /** @throws SessionError DEVICE_UNAVAILABLE, with what to do */
  readonly find: () => Promise<string>;
}

/** What onnxruntime brings and which GPUs there are; with a device, whether it starts, how fast it is, and why not. */
export function deviceChecks(device: string | undefined): DeviceCheck[] {
  return [
    {
      name: 'execution providers',
      find: async () => {
        const { providers } = await deviceDetails();
        return providers.map((provider) => (provider.installed ? provider.device : `${provider.device} (its library is not installed)`)).join(', ');
      },
    },
    { name: 'GPUs', find: async () => (await deviceDetails()).gpus.join('; ') || 'none that their drivers tell of' },
    ...(device === undefined ? [] : [{ name: `device ${device}`, find: () => describeTrial(device) }]),
  ];
}
