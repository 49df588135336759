import { elementCount, errorMessage } from '@zk0/core';
import { DATA_TYPES, SessionError } from '@zk0/onnx-train';
import { bytesOfTraining, memoryOf } from '../cost/estimate-memory.ts';
import { buildTrainLoopGraph, trainingState } from '../model/device-training.ts';
import { optimizedSpecs } from '../model/lora.ts';
import type { LearnerOptions } from '../policy.ts';
import { trainGraphFrom } from './input-graphs.ts';
import { stepsPerRun } from './loop-trainer.ts';
import type { TrainingRound } from './round.ts';

/** Called about the device's memory. */
export type MemoryHooks = Pick<{ readonly [Name in keyof LearnerOptions]: LearnerOptions[Name] | undefined }, 'onMemory' | 'onBatchParts'>;

/** What decides how much memory a training takes. */
export type MemoryQuestion = Pick<TrainingRound, 'runtime' | 'shape' | 'source' | 'steps'>;

/** Of a device's memory, what a training may be planned to take. */
const USABLE = 0.92;

/**
 * Trains with whole batches where the device's memory holds what they need, else in as few equal parts as it has room for, one after the
 * other. The arithmetic stays that of the whole batch, so the result differs by rounding alone. What is planned depends on the size of the memory and
 * not on what is free, so that a run can be repeated; a training that memory runs out on all the same begins anew in more parts.
 *
 * @param work trains in that many parts.
 * @throws SessionError OUT_OF_MEMORY where single samples do not fit, and on WebGPU, whose loops would run on the processor.
 */
export async function withinMemory<T>(question: MemoryQuestion, hooks: MemoryHooks, work: (parts: number) => Promise<T>): Promise<T> {
  const { runtime, shape } = question;
  const { batch } = shape;
  const { batchParts } = runtime;
  if (!batchParts.has(batch)) await plan(question, hooks);
  for (;;) {
    const parts = batchParts.get(batch)!;
    try {
      return await work(parts);
    } catch (error) {
      if (!(error instanceof SessionError) || error.code !== 'OUT_OF_MEMORY') throw error;
      const taken = trainingBytes(question, parts);
      const more = partings(question).find((candidate) => candidate > parts && trainingBytes(question, candidate) < taken);
      if (more === undefined) throw error;
      batchParts.set(batch, more);
      // A session keeps the memory that it has got so far.
      await runtime.free();
      hooks.onBatchParts?.({ batchSize: batch, parts: more, reason: errorMessage(error) });
    }
  }
}

/** Finds out in how many parts batches of a size have to be computed. */
async function plan(question: MemoryQuestion, { onMemory }: MemoryHooks): Promise<void> {
  const { runtime, shape } = question;
  const total = await memoryOf(runtime.device);
  let [parts, bytes] = [1, trainingBytes(question, 1)];
  // What a part computes gets smaller; the sums of gradients that parts need are as large as the weights.
  for (const candidate of partings(question)) {
    if (total === undefined || bytes <= USABLE * total) break;
    const needed = trainingBytes(question, candidate);
    if (needed < bytes) [parts, bytes] = [candidate, needed];
  }
  runtime.batchParts.set(shape.batch, parts);
  onMemory?.({ batchSize: shape.batch, parts, bytes, total });
}

/** In how many equal parts a batch can be computed: 1 first. */
function partings({ runtime, shape: { batch } }: MemoryQuestion): number[] {
  if (runtime.training === 'stepwise') return [1];
  return Array.from({ length: batch }, (_, index) => index + 1).filter((parts) => batch % parts === 0);
}

/** About the most memory that a training takes when its batches are computed in so many parts. */
export function trainingBytes({ runtime, shape, source, steps }: MemoryQuestion, parts: number): number {
  const { config, training, weights, precision } = runtime;
  const optimized = optimizedSpecs(config).reduce((sum, spec) => sum + elementCount(spec.shape), 0);
  if (training === 'host') return bytesOfTraining(trainGraphFrom(runtime, shape, source, parts).memory, training, optimized);
  const options = { source, parts, products: precision, optimizer: { betas: [0.9, 0.95], epsilon: 1e-8 }, maxGradientNorm: 1, proximal: true, correction: false } as const;
  const { memory, inputs } = buildTrainLoopGraph(config, shape, weights, { ...options, lossScaling: precision === 'float16', steps: 1 });
  const state = trainingState(config, options);
  const batchBytes = [...inputs].reduce((sum, [name, { dtype, shape: size }]) => (Object.hasOwn(state, name) ? sum : sum + elementCount(size) * DATA_TYPES[dtype].bytes), 0);
  const perRun = training === 'loop' ? stepsPerRun({ steps, runtime }, batchBytes) : 1;
  return bytesOfTraining({ ...memory, inputs: memory.inputs + (perRun - 1) * batchBytes }, training, optimized);
}
