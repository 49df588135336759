import * as z from 'zod';
import { augmentSchema } from '../config/augment-config.ts';

const spread = z.strictObject({ mean: z.array(z.number()).max(256), std: z.array(z.number().gt(0)).max(256) });

/** The normaliser common to all participants of a run. */
export const normalizerSchema = z.strictObject({ state: spread, action: spread });

/** What every participant of a run needs to know to build the same model; fixed when the run starts. */
export const runContextSchema = z.strictObject({
  policy: z.strictObject({
    /** Preset, path or `hf:` URI, as the server was given it. */
    source: z.string().min(1).max(4096),
    /** Hex SHA-256 over configuration, frozen weights and tokenizer: both sides must hold the same base. */
    baseHash: z.string().regex(/^[0-9a-f]{64}$/),
    /** Factors are trained in place of weights (LoRA), and sent; absent where the weights are. */
    lora: z.strictObject({ rank: z.int().min(1).max(1024), alpha: z.number().gt(0).max(4096) }).exactOptional(),
  }),
  features: z.strictObject({
    stateSize: z.int().min(1).max(256),
    actionSize: z.int().min(1).max(256),
    /** Camera keys in the order the policy takes them. */
    cameras: z.array(z.string().min(1).max(200)).min(1).max(16),
  }),
  normalizer: normalizerSchema,
  /** How the images that are trained on are varied, and the seed of it; absent where they are not. */
  augment: z.strictObject({ config: augmentSchema, seed: z.string().min(1).max(200) }).exactOptional(),
});
export type RunContext = z.infer<typeof runContextSchema>;

/** What one client is told about training in one round; the one place where the bounds of these values stand. */
export const fitInstructionsSchema = z.strictObject({
  round: z.int().min(1),
  seed: z.string().min(1).max(200),
  localSteps: z.int().min(1).max(1_000_000),
  batchSize: z.int().min(1).max(4096),
  /** A schedule may end at 0: such a round changes nothing and is not an error. */
  learningRate: z.number().min(0).max(1),
  proximalMu: z.number().min(0).max(1e6),
});
