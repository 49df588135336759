import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { datasetProfile, deriveSeed, InvalidArgumentError, type AugmentConfig, type Parameters, type RobotDataset, type WorkHooks } from '@zk0/core';
import { alignRecordings, augmentedDataset, normalizerFrom, writeAlignmentTarget } from '@zk0/dataset-so100';
import type { CacheMode, LearnerOptions, SmolVlaPolicy } from '@zk0/policy-smolvla';
import { makeDirectory } from '@zk0/storage';
import { loadProgress, saveProgress } from './training-state.ts';

/** How one node trains by itself. */
export interface TrainOptions {
  readonly policy: SmolVlaPolicy;
  readonly dataset: RobotDataset;
  /** Checkpoint and state go below it. */
  readonly directory: string;
  /** Optimiser steps in all. */
  readonly steps: number;
  /** Steps between two saved states; AdamW's moments start anew after each, as in a federation's rounds. */
  readonly roundSteps: number;
  readonly batchSize: number;
  /** Peak learning rate; it falls to a tenth over the whole of training, in half a cosine. */
  readonly learningRate: number;
  readonly seed: number;
  /** How images are varied; not at all when absent. */
  readonly augment?: AugmentConfig;
  /** Called about what is kept on disk and about the device's memory. */
  readonly hooks: Pick<LearnerOptions, 'onCache' | 'onMemory' | 'onBatchParts'>;
  readonly cache: CacheMode;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: { readonly phase: string; readonly done: number; readonly total: number; readonly loss?: number }) => void;
}

/** Of the peak learning rate, what is left at the end. */
const FINAL_RATE = 0.1;

/**
 * Trains a policy on one dataset without a server, and writes `checkpoint/` as a run does. Stopped, it goes on where it
 * was when it is called with the same options again.
 *
 * @returns the checkpoint's directory
 * @throws InvalidArgumentError for numbers out of range; CancelledError; whatever training throws
 */
export async function train(options: TrainOptions): Promise<string> {
  const { policy, dataset, directory, steps, roundSteps, batchSize, learningRate, seed, signal, onProgress } = options;
  for (const [name, value] of Object.entries({ steps, roundSteps, batchSize })) {
    if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError(`${name} is ${value}; it must be a whole number above 0`);
  }
  makeDirectory(directory);
  const normalizer = normalizerFrom(dataset.info.moments);
  const trained = options.augment === undefined ? dataset : augmentedDataset(dataset, options.augment, deriveSeed('augment', seed));
  const learner = policy.learner(trained, { normalizer, cache: options.cache, ...options.hooks });
  const { lora } = policy.config.model;
  const identity = JSON.stringify([policy.baseHash, trained.info.contentHash, steps, roundSteps, batchSize, learningRate, seed, ...(lora === undefined ? [] : [lora])]);
  const rounds = Math.ceil(steps / roundSteps);
  try {
    let parameters: Parameters = await policy.initialParameters();
    const saved = await loadProgress(directory, identity);
    if (saved !== undefined) parameters = saved.parameters;
    for (let round = saved?.round ?? 0; round < rounds; round++) {
      const fall = rounds > 1 ? round / (rounds - 1) : 0;
      const done = round * roundSteps;
      const hooks: WorkHooks = {
        signal,
        onProgress: ({ phase, step, totalSteps, loss }) => {
          const isTraining = phase === 'training';
          onProgress({ phase, done: isTraining ? done + step : step, total: isTraining ? steps : totalSteps, ...(loss === undefined ? {} : { loss }) });
        },
      };
      const instructions = {
        round: round + 1,
        seed: deriveSeed('train', seed, round + 1),
        localSteps: Math.min(roundSteps, steps - done),
        batchSize,
        learningRate: learningRate * (FINAL_RATE + ((1 - FINAL_RATE) * (1 + Math.cos(Math.PI * fall))) / 2),
        proximalMu: 0,
      };
      ({ parameters } = await learner.fit(parameters, instructions, hooks));
      await saveProgress(directory, { identity, round: round + 1, parameters });
    }
    const checkpoint = join(directory, 'checkpoint');
    await rm(checkpoint, { recursive: true, force: true });
    await policy.saveCheckpoint(checkpoint, parameters, { normalizer });
    await writeAlignmentTarget(checkpoint, alignRecordings(new Map(), datasetProfile(dataset.info)).target);
    return checkpoint;
  } finally {
    await learner.close();
  }
}
