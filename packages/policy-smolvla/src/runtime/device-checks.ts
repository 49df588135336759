import { currentCudaState, leastDriver, listGpus } from '@zk0/onnx-train';
import { describeTrial, deviceDetails } from './device-details.ts';

/** Usable, but something that the reader should know. */
export interface DeviceAttention {
  readonly attention: string;
  readonly hint: string;
}

/** One question about this machine's devices, as `doctor` commands ask them. */
export interface DeviceCheck {
  readonly name: string;
  /** @throws SessionError DEVICE_UNAVAILABLE, with what to do */
  readonly find: () => Promise<string | DeviceAttention>;
}

/** What onnxruntime brings and which GPUs there are; whether a device starts (by default, which one `auto` takes), how fast it is, and why not. */
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
    ...(process.platform === 'linux' && process.arch === 'x64' ? [{ name: 'CUDA', find: describeCuda }] : []),
    { name: `device ${device ?? 'auto'}`, find: () => describeTrial(device ?? 'auto') },
  ];
}

/** What `cuda use` linked; a link that no longer holds is something that the reader should know, not a failure of a run on the processor. */
async function describeCuda(): Promise<string | DeviceAttention> {
  const state = currentCudaState();
  if (state.kind === 'broken') return { attention: state.reason, hint: 'Run `zk0-client cuda use` again, or `zk0-client cuda forget`.' };
  if (state.kind === 'linked') {
    const { version, commit, cudaMajor, provider } = state.link;
    const least = leastDriver(cudaMajor);
    const driver = (await listGpus()).find((gpu) => gpu.driver !== undefined && Number.parseInt(gpu.driver, 10) < least)?.driver;
    if (driver !== undefined) {
      return { attention: `linked for CUDA ${cudaMajor}, which needs driver ${least} or newer; the installed one is ${driver}`, hint: 'Install a newer NVIDIA driver.' };
    }
    return `linked for CUDA ${cudaMajor}: ${provider.path} (${version}, ${commit === null ? 'commit unknown' : `commit ${commit}`})`;
  }
  const { gpus } = await deviceDetails();
  if (!gpus.some((gpu) => gpu.startsWith('NVIDIA'))) return 'not linked';
  return { attention: 'not linked, though there is an NVIDIA GPU', hint: 'Run `zk0-client cuda use`.' };
}
