import { listGpus, type Device, type MemoryNeeds } from '@zk0/onnx-train';
import { totalmem } from 'node:os';
import type { TrainingPlace } from '../runtime/model-runtime.ts';

/** What a training takes of a device's memory, and what there is. */
export interface TrainingMemory {
  /** About the most that is taken at one time, by everything that the program does. */
  readonly bytes: number;
  /** All that the device has; `undefined` where that cannot be found out. */
  readonly total: number | undefined;
}

/** Node, onnxruntime and the program; CUDA's context with the workspaces of cuBLAS and cuDNN, by NVIDIA's figures. */
const BASE_BYTES = { processor: 200e6, device: 600e6 };
/** Of what the graph has alive at one time, what allocators and fused operators make of it: 0.9 to 1.4 were measured on the processor. */
const ALLOCATED = 1.25;

/**
 * About the most memory that a training takes: frozen weights, what is fed, what a step computes, and on the processor AdamW's moments, which lie beside
 * the graph.
 *
 * @param needs of the training's graph.
 * @param optimizedValues how many values the optimiser renews.
 */
export function bytesOfTraining({ weights, inputs, computed }: MemoryNeeds, place: TrainingPlace, optimizedValues: number): number {
  const graph = weights + inputs + ALLOCATED * computed;
  return place === 'host' ? BASE_BYTES.processor + graph + 2 * 4 * optimizedValues : BASE_BYTES.device + graph;
}

/** The memory of the machine or of its container, or of the first GPU for CUDA. */
export async function memoryOf(device: Device): Promise<number | undefined> {
  // Without a limit, the limit is larger than any machine.
  if (device === 'cpu') return Math.min(totalmem(), process.constrainedMemory() || Infinity);
  return device === 'cuda' ? (await listGpus())[0]?.memoryBytes : undefined;
}
