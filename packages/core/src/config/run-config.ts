import * as z from 'zod';
import { augmentSchema } from './augment-config.ts';
import { secureAggregationSetting } from './secure-aggregation-config.ts';
import { updateEncodingChoiceSchema, updateEncodingSchema } from './update-encoding.ts';
import { errorMessage } from '../errors.ts';
import { parseStopRule } from '../run/stop-rule.ts';

/** A strategy's name and its own options; `@zk0/strategy` checks the options. */
const strategySchema = z.looseObject({ name: z.string().min(1).default('fedprox') });

/** The text of a stop rule, checked when the run is submitted. */
const stopWhenSchema = z
  .string()
  .min(1)
  .max(500)
  .superRefine((text, context) => {
    try {
      parseStopRule(text);
    } catch (error) {
      context.addIssue({ code: 'custom', message: errorMessage(error).replace(/^stopWhen: /, '') });
    }
  });

/** How the policy of a run is tried in simulated worlds while the run goes on. */
const rolloutsSchema = z.strictObject({
  /** Addresses of tasks, e.g. `demo:cube-to-bowl?fps=5&place=each`. */
  tasks: z.array(z.string().min(1).max(500)).min(1).max(20),
  /** After every so many rounds, which get a checkpoint; after the last always. */
  every: z.int().min(1).default(20),
  /** Trials over all tasks and places. */
  trials: z.int().min(1).max(10_000).default(60),
  /** Fixes layouts and noise: every round is tried in the same situations. */
  seed: z.int().min(0).max(Number.MAX_SAFE_INTEGER).default(0),
});

/** Everything that fixes what a run computes. Two runs with the same configuration and data give the same bytes. */
export const runConfigSchema = z.strictObject({
  /** Federated rounds; round 0 is the evaluation of the initial model. */
  rounds: z.int().min(1).max(100_000).default(20),
  /** Fixes client selection, shuffles, noise and times. */
  seed: z.int().min(0).max(Number.MAX_SAFE_INTEGER).default(42),
  /** A policy preset (`small`), a checkpoint directory, or a hub address. */
  policy: z.string().min(1).default('small'),
  strategy: strategySchema.prefault({}),
  /** The session starts when this many clients are there, and a round needs this many results. */
  minClients: z.int().min(1).max(100_000).default(2),
  /** Fraction of the available clients that trains in a round. */
  fraction: z.number().gt(0).max(1).default(1),
  /** Clients asked beyond that, as a fraction of it: the round closes when as many as it wants have answered, whoever they are. */
  overSelection: z.number().min(0).max(10).default(0),
  /** How likely a client is to be asked: all alike, by its frames, or by the loss it last reported. */
  weightBy: z.enum(['uniform', 'examples', 'loss']).default('uniform'),
  /** Optimiser steps per client and round (the original called them epochs); the policy's own default when absent. */
  localSteps: z.int().min(1).max(1_000_000).optional(),
  /**
   * Gives each client as many steps as its measured speed says, so that clients answer together: `localSteps` in the mean, and at most so
   * many times as many or as few. Absent: all make the same number.
   */
  localStepsBySpeed: z.number().gt(1).max(100).optional(),
  /** Samples per step; the policy's own default when absent. */
  batchSize: z.int().min(1).max(4096).optional(),
  /** Peak learning rate of a round's cosine; the policy's own default when absent. */
  learningRate: z.number().gt(0).max(1).optional(),
  /**
   * `restart`: clients begin every round with AdamW's moments at zero, as LeRobot's training does once. `keep`: each goes on from those
   * of its last update that counted, which stay on its machine.
   */
  clientOptimizer: z.enum(['restart', 'keep']).default('restart'),
  /**
   * Rank of the factors that are trained in place of the expert's weights (LoRA); absent: the weights themselves. Published results for
   * policies like this one want 128 or more.
   */
  loraRank: z.int().min(16).max(256).optional(),
  /** The product of the factors counts `loraAlpha / loraRank` times; as much as the rank when absent. */
  loraAlpha: z.number().gt(0).max(4096).optional(),
  /** How clients send their updates; see {@link updateEncodingChoiceSchema}. */
  updateEncoding: updateEncodingChoiceSchema.default('float32'),
  /** How the parameters of a round go to clients that hold those of the round before; see {@link updateEncodingSchema}. */
  broadcastEncoding: updateEncodingSchema.default('float32'),
  /** Clients mask their updates, and the server sees the sum of a round's updates alone; off when absent. `true`: with its defaults. */
  secureAggregation: secureAggregationSetting,
  /** Varies the images that are trained on; off when absent. A number is that many variants with LeRobot's defaults. */
  augment: z.preprocess((value) => (typeof value === 'number' ? { variants: value } : value), augmentSchema).optional(),
  /** Datasets that nobody trains on; the server evaluates on them after each round. */
  heldOut: z.array(z.string().min(1)).max(100).default([]),
  /** Cameras of the datasets held out, as recorded → as the policy names them. */
  rename: z.record(z.string().min(1).max(200), z.string().min(1).max(200)).optional(),
  /** What the joints' values mean in the datasets held out; inferred from them when absent. */
  units: z.enum(['degrees', 'degrees-2024', 'normalized', 'radians', 'ticks']).optional(),
  /** Evaluate every so many rounds; the last round always. */
  evaluateEvery: z.int().min(1).default(1),
  /** Batches per held-out dataset; 0 = all. */
  evaluateBatches: z.int().min(0).default(4),
  /** Save a checkpoint every so many rounds; the last round always. */
  checkpointEvery: z.int().min(1).default(20),
  /** Keep the checkpoint of the round with the lowest held-out loss so far, as `models/checkpoint_best`. */
  keepBest: z.boolean().default(true),
  /** The run is complete before its last round when this holds, e.g. `heldOutLoss<0.8 or noImprovement>=5`; see `parseStopRule`. */
  stopWhen: stopWhenSchema.optional(),
  /** Success at tasks, measured beside the rounds; nothing is tried when absent. */
  rollouts: rolloutsSchema.optional(),
  /** `full`: what LeRobot loads, frozen weights included; `trained`: the trained weights and the hash of their base. */
  checkpointForm: z.enum(['full', 'trained']).default('full'),
  /** A repository of models on the hub (`owner/name`) that the newest checkpoint is pushed to when the run has finished. */
  pushTo: z.string().regex(/^[A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9][\w.-]{0,95}$/).optional(),
  /** A round closes with what has arrived when this many seconds have passed. */
  roundDeadlineSeconds: z.number().gt(0).max(30 * 24 * 3600).default(3600),
  /** Clients that train at the same time, at most; 0 = no limit. One machine with one GPU wants 1. */
  maxParallel: z.int().min(0).default(0),
});

/** A run's resolved configuration. */
export type RunConfig = z.infer<typeof runConfigSchema>;
/** How a run factors what its clients train; `undefined` where they train the weights themselves. */
export function loraOf({ loraRank: rank, loraAlpha }: Pick<RunConfig, 'loraRank' | 'loraAlpha'>): { readonly rank: number; readonly alpha: number } | undefined {
  return rank === undefined ? undefined : { rank, alpha: loraAlpha ?? rank };
}

/** What a user may write: every field has a default. */
export type RunConfigInput = z.input<typeof runConfigSchema>;
