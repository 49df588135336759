import * as z from 'zod';
import type { ScheduleOptions } from './schedule.ts';

const rate = z.number().positive();
const rounds = z.int().min(1).max(1_000_000);

const decay = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('constant') }),
  z.strictObject({ kind: z.literal('cosine'), final: z.number().min(0).max(1).default(0.1) }),
  z.strictObject({
    kind: z.literal('warm-restarts'),
    period: rounds.default(15),
    growth: z.int().min(1).max(100).default(2),
    min: z.number().min(0).default(5e-7),
  }),
  z.strictObject({
    kind: z.literal('plateau'),
    factor: z.number().gt(0).lt(1).default(0.5),
    patience: z.int().min(0).default(5),
    min: z.number().min(0).default(5e-7),
  }),
]);
const dynamic = z.strictObject({
  divergence: z.number().default(-0.05),
  raise: rate.default(1.1),
  stall: z.number().default(0.01),
  lower: rate.default(0.8),
});
const adaptiveLearningRate = z.strictObject({ threshold: rate.default(2), boost: z.number().min(1).default(1.15) });
const adaptiveMu = z.strictObject({ threshold: rate.default(1.2), boost: z.number().min(1).default(1.05) });
const spikeGuard = z.strictObject({ threshold: rate.default(0.5) });
const limits = z
  .strictObject({ minLearningRate: rate.default(1e-5), maxLearningRate: rate.default(1e-3), minMu: rate.default(1e-3) })
  .refine(({ minLearningRate, maxLearningRate }) => minLearningRate <= maxLearningRate, 'minLearningRate is above maxLearningRate');

/** `zk0`, or parts one by one: a part is off unless it is named; `{}` is that part with its defaults. */
export const scheduleConfigSchema = z.union([
  z.literal('zk0'),
  z.strictObject({
    decay: decay.default({ kind: 'constant' }),
    dynamic: dynamic.optional(),
    adaptiveLearningRate: adaptiveLearningRate.optional(),
    adaptiveMu: adaptiveMu.optional(),
    spikeGuard: spikeGuard.optional(),
    limits: limits.prefault({}),
  }),
]);

/** The options of a schedule's configuration. */
export function scheduleOptions(config: z.infer<typeof scheduleConfigSchema>): ScheduleOptions {
  if (config === 'zk0') {
    return {
      decay: { kind: 'constant' },
      dynamic: dynamic.parse({}),
      adaptiveLearningRate: adaptiveLearningRate.parse({}),
      adaptiveMu: adaptiveMu.parse({}),
      spikeGuard: spikeGuard.parse({}),
      limits: limits.parse({}),
    };
  }
  return {
    decay: config.decay,
    dynamic: config.dynamic ?? null,
    adaptiveLearningRate: config.adaptiveLearningRate ?? null,
    adaptiveMu: config.adaptiveMu ?? null,
    spikeGuard: config.spikeGuard ?? null,
    limits: config.limits,
  };
}
