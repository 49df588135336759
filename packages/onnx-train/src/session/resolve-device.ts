import { errorMessage } from '@zk0/core';
import { encodeModel } from '../graph/encode-model.ts';
import { GraphBuilder } from '../graph/graph-builder.ts';
import * as ops from '../ops/index.ts';
import { requireDevice, type Device } from './devices.ts';
import { WorkerClient } from './worker-client.ts';

/** Which device `auto` stands for on this machine, and why not the ones before it. */
export interface DeviceChoice {
  readonly device: Device;
  readonly rejected: readonly { readonly device: Device; readonly reason: string }[];
}

/** The order in which `auto` tries. */
const PREFERENCE: readonly Device[] = ['cuda', 'webgpu', 'cpu'];

/**
 * Tries devices with a model of one addition, in order; the processor is what remains.
 *
 * (Where WebGPU finds no driver, its library says so on stderr by itself.)
 */
export async function resolveDevice(preference: readonly Device[] = PREFERENCE): Promise<DeviceChoice> {
  const rejected: { device: Device; reason: string }[] = [];
  for (const device of preference) {
    const reason = await probe(device);
    if (reason === undefined) return { device, rejected };
    rejected.push({ device, reason });
  }
  return { device: 'cpu', rejected };
}

/** Why a device cannot be used; undefined when it can. */
async function probe(device: Device): Promise<string | undefined> {
  const graph = new GraphBuilder('probe');
  graph.output('y', ops.add(graph.input('x', 'float32', [1]), 1));
  try {
    requireDevice(device);
    const client = await WorkerClient.start({
      model: encodeModel(graph).bytes,
      options: { device, threads: 1, config: {}, externalDirectory: undefined },
    });
    try {
      const feeds = { x: { dtype: 'float32', shape: [1], data: Float32Array.of(1) } } as const;
      await client.run({ kind: 'run', feeds, outputs: ['y'], into: {} }, undefined);
      return undefined;
    } finally {
      await client.close();
    }
  } catch (error) {
    return errorMessage(error);
  }
}
