import { resolve } from 'node:path';
import { createProgress, readRecordingOptions, relaxGarbageCollection, withRecordingOptions, zk0Home } from '@zk0/cli';
import { requireCameras, UNIT_CONVENTIONS } from '@zk0/dataset-so100';
import { describeCutTasks, describeDevice, openPolicy } from '@zk0/policy-smolvla';
import { Command } from 'commander';
import '../demo-datasets.ts';
import { openTogether, parseFps } from '../dataset/open-together.ts';
import { parseAugment, parseCacheMode, parseLora, parseThreads } from '../options.ts';
import { describeCache } from '../train/describe-cache.ts';
import { describeBatchParts, describeMemory } from '../train/describe-memory.ts';
import { train } from '../train/train.ts';
import { trainingCost } from '../train/training-cost.ts';
import { collect, type Run } from './run-action.ts';

interface TrainFlags extends Readonly<Record<string, unknown>> {
  readonly dataset: string[];
  readonly fps?: number;
  readonly steps: number;
  readonly roundSteps: number;
  readonly policy: string;
  readonly batchSize?: number;
  readonly learningRate?: number;
  readonly augment?: number;
  readonly loraRank?: number;
  readonly loraAlpha?: number;
  readonly seed: number;
  readonly out: string;
  readonly device: string;
  readonly precision: string;
  readonly threads?: number;
  readonly cache: string;
}

/** `zk0-client train`: fine-tunes a policy on this machine alone, without a server. */
export function trainCommand(run: Run): Command {
  const command = new Command('train')
    .description('Train on your recordings alone, without a server. Run again with the same flags, it goes on where it stopped.')
    .option('--dataset <uri>', 'recordings: a path, hf:owner/name, or demo:<task> (repeatable: all of them together; PATH?weight=2 counts twice)', collect, [])
    .option('--fps <n>', 'frames a second that faster recordings are taken down to (default: as recorded, and all have to be alike)', Number)
    .requiredOption('--steps <n>', 'optimiser steps in all', Number)
    .requiredOption('--out <dir>', 'where the checkpoint and the state of training go')
    .option('--policy <name|path>', 'policy preset or checkpoint to start from', 'small')
    .option('--round-steps <n>', 'steps between two saved states, after which AdamW starts anew', Number, 50)
    .option('--batch-size <n>', 'samples per step (default: the policy’s own)', Number)
    .option('--learning-rate <x>', 'peak learning rate; it falls to a tenth (default: the policy’s own)', Number)
    .option('--augment <k>', 'train on so many variants of each image beside it: colour, sharpness, small shifts (default: none)', Number)
    .option('--lora-rank <n>', 'train factors of this rank, 16 to 256, in place of the weights (LoRA; default: the weights); 128 or more do best', Number)
    .option('--lora-alpha <x>', 'factors count alpha / rank times (default: as much as the rank)', Number)
    .option('--seed <n>', 'fixes shuffles and noise', Number, 42)
    .option('--device <name>', 'execution provider: auto, cpu, cuda, webgpu, …', 'auto')
    .option('--precision <type>', 'matrix products in: auto, float32, float16, bfloat16', 'auto')
    .option('--threads <n>', 'CPU threads for training (default: all cores)', Number)
    .option('--cache <mode>', 'frozen work kept on disk: auto, prefix, vision or off', 'auto')
    .option('--verbose', 'error codes and stacks with errors');
  withRecordingOptions(command, UNIT_CONVENTIONS).action((flags: TrainFlags) => {
    run(async (signal) => {
      await trainAlone(flags, signal);
      return undefined;
    });
  });
  return command;
}

async function trainAlone(flags: TrainFlags, signal: AbortSignal): Promise<void> {
  const cache = parseCacheMode(flags.cache);
  const how = readRecordingOptions(flags, UNIT_CONVENTIONS);
  const threads = parseThreads(flags.threads);
  const augment = parseAugment(flags.augment);
  const lora = parseLora(flags.loraRank, flags.loraAlpha);
  const progress = createProgress(process.stderr);
  try {
    const { dataset, notes } = await openTogether(flags.dataset, { ...how, fps: parseFps(flags.fps), progress, signal });
    for (const note of notes) progress.print(note);
    try {
      const { info } = dataset;
      requireCameras(info);
      const policy = await openPolicy(flags.policy, {
        device: flags.device,
        precision: flags.precision,
        ...(threads === undefined ? {} : { threads }),
        cacheDirectory: zk0Home(),
        signal,
        lora,
        features: {
          stateSize: info.stateNames.length,
          actionSize: info.actionNames.length,
          cameras: info.cameras.map(({ key }) => key),
        },
      });
      relaxGarbageCollection(4 * policy.parameterCount.trained);
      try {
        progress.print(`${info.name}: ${info.episodes.length} episodes, ${info.frameCount} frames`);
        progress.print(describeDevice(policy));
        for (const cut of describeCutTasks(policy, info.tasks)) progress.print(`${info.name}: ${cut}`);
        const defaults = policy.trainingDefaults;
        const batchSize = flags.batchSize ?? defaults.batchSize;
        const cost = await trainingCost(policy, { steps: flags.steps, batchSize, frames: info.frameCount, cameras: info.cameras.length }, threads);
        if (cost !== null) progress.print(cost);
        const checkpoint = await train({
          policy,
          dataset,
          directory: resolve(flags.out),
          steps: flags.steps,
          roundSteps: flags.roundSteps,
          batchSize,
          learningRate: flags.learningRate ?? defaults.learningRate,
          seed: flags.seed,
          cache,
          ...(augment === undefined ? {} : { augment }),
          hooks: {
            onCache: (kept) => {
              progress.print(describeCache(kept, info.frameCount));
            },
            onMemory: (memory) => {
              progress.print(describeMemory(memory));
            },
            onBatchParts: (change) => {
              progress.print(describeBatchParts(change));
            },
          },
          signal,
          onProgress: ({ phase, done, total, loss }) => {
            progress.update({ label: phase, done, total, ...(loss === undefined ? {} : { detail: `loss ${loss.toFixed(4)}` }) });
          },
        });
        progress.finish();
        process.stdout.write(`checkpoint   ${checkpoint}\n`);
      } finally {
        await policy.close();
      }
    } finally {
      await dataset.close();
    }
  } finally {
    progress.finish();
  }
}
