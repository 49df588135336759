import { errorMessage, Zk0Error } from '@zk0/core/errors';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ownFile } from '../threads/start-worker.ts';
import { requireDevice, type Device } from './devices.ts';
import { mayHaveGpu } from './gpus.ts';

/** Which device `auto` stands for on this machine, and why not the ones before it. */
export interface DeviceChoice {
  readonly device: Device;
  readonly rejected: readonly { readonly device: Device; readonly reason: string }[];
}

/** The order in which `auto` tries. */
const PREFERENCE: readonly Device[] = ['cuda', 'webgpu', 'cpu'];

/** Longest that the trial of a device may take. */
const PROBE_MS = 60_000;

/** How a device did when it was tried: the rate of its matrix products, or why it cannot be used and what to do. */
export type DeviceTrial = { readonly gigaflops: number } | { readonly reason: string; readonly hint?: string };

/** Tries a device in a process of its own, which a broken driver may end. */
export async function tryDevice(device: Device): Promise<DeviceTrial> {
  try {
    requireDevice(device);
  } catch (error) {
    return { reason: errorMessage(error), ...(error instanceof Zk0Error && error.hint !== undefined && { hint: error.hint }) };
  }
  const { path, execArgv } = ownFile('session/device-probe');
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [...execArgv, path, device], { timeout: PROBE_MS });
    return JSON.parse(stdout) as DeviceTrial;
  } catch (error) {
    const { stderr = '', signal } = error as { readonly stderr?: string; readonly signal?: string | null };
    const last = stderr.trim().split('\n').at(-1) ?? '';
    return { reason: `device ${device} does not work: the trial ended${signal == null ? '' : ` with ${signal}`} ${last}`.trim() };
  }
}

/**
 * Tries devices in order and takes the first that starts and multiplies matrices faster than the processor, which software
 * drivers (SwiftShader, llvmpipe) do not; the processor is what remains.
 */
export async function resolveDevice(preference: readonly Device[] = PREFERENCE): Promise<DeviceChoice> {
  const rejected: { device: Device; reason: string }[] = [];
  let processor: DeviceTrial | undefined;
  for (const device of preference) {
    if (device === 'cpu') break;
    // What is left then is a driver in software, which is slower than the processor that it runs on.
    if (device === 'webgpu' && !mayHaveGpu()) {
      rejected.push({ device, reason: 'no graphics processor was found' });
      continue;
    }
    const trial = await tryDevice(device);
    if ('reason' in trial) {
      rejected.push({ device, reason: trial.reason });
      continue;
    }
    processor ??= await tryDevice('cpu');
    const least = 'gigaflops' in processor ? processor.gigaflops : 0;
    if (trial.gigaflops >= least) return { device, rejected };
    const rates = `${trial.gigaflops.toFixed(0)} against ${least.toFixed(0)} GFLOP/s`;
    rejected.push({ device, reason: `device ${device} is slower than the processor (${rates}): emulated, or a small GPU` });
  }
  return { device: 'cpu', rejected };
}
