import { totalmem } from 'node:os';
import type { ClientResources } from '@zk0/core';
import { listGpus, type Gpu } from '@zk0/policy-smolvla';

/** Execution providers that work on a graphics processor. */
const GPU_PROVIDERS = new Set(['cuda', 'tensorrt', 'webgpu', 'dml', 'rocm']);

/**
 * The memory that this client uses, for the operator of the server.
 *
 * @param device the execution provider that trains, once that is known: memory of a graphics processor is told where one does
 * @param gpus asks the driver
 */
export function resourcesOf(device: () => string | undefined, gpus: () => Promise<readonly Gpu[]> = listGpus): () => Promise<ClientResources> {
  return async () => {
    const own = { memoryBytes: process.memoryUsage.rss(), totalMemoryBytes: totalmem() };
    if (!GPU_PROVIDERS.has(device() ?? '')) return own;
    const { name, memoryBytes, freeBytes } = (await gpus()).find((gpu) => gpu.memoryBytes !== undefined && gpu.freeBytes !== undefined) ?? {};
    if (name === undefined || memoryBytes === undefined || freeBytes === undefined) return own;
    return { ...own, gpu: { name: name.slice(0, 100), memoryBytes: Math.max(0, memoryBytes - freeBytes), totalMemoryBytes: memoryBytes } };
  };
}
