import { errorMessage } from '@zk0/core';
import { availableParallelism } from 'node:os';
import { encodeModel } from '../graph/encode-model.ts';
import { GraphBuilder } from '../graph/graph-builder.ts';
import * as ops from '../ops/index.ts';
import { requireDevice, type Device } from './devices.ts';
import { sharedTensor } from './tensor.ts';
import { WorkerClient } from './worker-client.ts';

/** Which device `auto` stands for on this machine, and why not the ones before it. */
export interface DeviceChoice {
  readonly device: Device;
  readonly rejected: readonly { readonly device: Device; readonly reason: string }[];
}

/** The order in which `auto` tries. */
const PREFERENCE: readonly Device[] = ['cuda', 'webgpu', 'cpu'];

/** Width of the square matrices whose product the devices are compared by: 0.3 GFLOP. */
const PROBE_SIZE = 512;
/** A device this many times slower than the processor is an emulated one (a software Vulkan driver, for example). */
const EMULATED = 4;

/**
 * Tries devices with one matrix product, in order, and takes the first that starts and is not emulated; the processor is
 * what remains.
 *
 * (Where WebGPU finds no driver, its library says so on stderr by itself.)
 */
export async function resolveDevice(preference: readonly Device[] = PREFERENCE): Promise<DeviceChoice> {
  const rejected: { device: Device; reason: string }[] = [];
  for (const device of preference) {
    if (device === 'cpu') break;
    try {
      requireDevice(device);
      const seconds = await probe(device);
      const limit = EMULATED * (await probe('cpu'));
      if (seconds <= limit) return { device, rejected };
      rejected.push({ device, reason: `device ${device} is emulated: ${seconds.toFixed(3)} s where ${limit.toFixed(3)} s is the limit` });
    } catch (error) {
      rejected.push({ device, reason: errorMessage(error) });
    }
  }
  return { device: 'cpu', rejected };
}

/** Seconds that a device takes for a matrix product, once warm. */
async function probe(device: Device): Promise<number> {
  const graph = new GraphBuilder('probe');
  const x = graph.input('x', 'float32', [PROBE_SIZE, PROBE_SIZE]);
  graph.output('y', ops.reduceMax(ops.matMul(x, x)));
  const options = { device, threads: availableParallelism(), config: {}, externalDirectory: undefined, state: {} };
  const client = await WorkerClient.start(encodeModel(graph).bytes, options);
  try {
    const feeds = { x: sharedTensor('float32', [PROBE_SIZE, PROBE_SIZE]) };
    let seconds = Infinity;
    for (let round = 0; round < 3; round++) {
      const begun = performance.now();
      await client.run({ kind: 'run', feeds, outputs: ['y'], into: {} }, undefined);
      seconds = Math.min(seconds, (performance.now() - begun) / 1000);
    }
    return seconds;
  } finally {
    await client.close();
  }
}
