import { listDevices, listGpus, tryDevice } from '@zk0/onnx-train';
import { chooseDevice } from './choose-device.ts';

/** What can be said about running on this machine. */
export interface DeviceDetails {
  /** Execution providers of this build of onnxruntime, with what is known of each. */
  readonly providers: readonly { readonly device: string; readonly installed: boolean }[];
  readonly gpus: readonly string[];
}

/** The execution providers and graphics processors of this machine, without starting any. */
export async function deviceDetails(): Promise<DeviceDetails> {
  const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  const gpus = (await listGpus()).map(({ name, memoryBytes, freeBytes, driver, computeCapability }) =>
    [
      name,
      memoryBytes === undefined ? undefined : `${gib(memoryBytes)}${freeBytes === undefined ? '' : ` (${gib(freeBytes)} free)`}`,
      driver === undefined ? undefined : `driver ${driver}`,
      computeCapability === undefined ? undefined : `compute capability ${computeCapability}`,
    ]
      .filter((part) => part !== undefined)
      .join(', '),
  );
  return { providers: listDevices(), gpus };
}

/**
 * Starts a device and says how fast it multiplies matrices; of `auto`, which device that is and why.
 *
 * @throws SessionError DEVICE_UNAVAILABLE
 */
export async function describeTrial(wanted: string): Promise<string> {
  const { device, rejected } = await chooseDevice(wanted);
  const trial = await tryDevice(device);
  const rate = 'gigaflops' in trial ? `${trial.gigaflops.toPrecision(3)} GFLOP/s in matrix products` : trial.reason;
  return [`${device}: ${rate}`, ...rejected.map((other) => `not ${other.device}: ${other.reason}`)].join('; ');
}
