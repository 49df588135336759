import { describeIssue } from '@zk0/core';
import * as z from 'zod';
import { StrategyConfigError } from './errors.ts';
import { checkNesting } from './nesting.ts';
import { scheduleConfigSchema } from './schedule/config.ts';

const rate = z.number().positive();
const momentum = z.number().min(0).lt(1);
const clients = z.int().min(1).max(1_000_000);

const fedavg = z.strictObject({ name: z.literal('fedavg') });
const fedprox = z.strictObject({ name: z.literal('fedprox'), proximalMu: z.number().min(0).default(0.01) });
const fedmedian = z.strictObject({ name: z.literal('fedmedian') });
const fedtrimmedavg = z.strictObject({ name: z.literal('fedtrimmedavg'), beta: z.number().min(0).lt(0.5).default(0.2) });
const meamed = z.strictObject({ name: z.literal('meamed'), count: clients.default(2) });
const malicious = z.int().min(0).max(100_000).default(0);
const krum = z.strictObject({ name: z.literal('krum'), malicious });
const multikrum = z.strictObject({ name: z.literal('multikrum'), malicious, keep: clients.default(1) });
const bulyan = z.strictObject({ name: z.literal('bulyan'), malicious });
const qfedavg = z.strictObject({ name: z.literal('qfedavg'), q: z.number().min(0).default(0.1), learningRate: rate });
const scaffold = z.strictObject({ name: z.literal('scaffold') });
const fedbuff = z.strictObject({ name: z.literal('fedbuff'), bufferSize: clients.default(3), maxStaleness: z.int().min(0).max(100_000).default(100) });

/** How the updates become one. */
export const ruleConfigSchema = z.discriminatedUnion('name', [
  fedavg,
  fedprox,
  fedmedian,
  fedtrimmedavg,
  meamed,
  krum,
  multikrum,
  bulyan,
  qfedavg,
  scaffold,
  fedbuff,
]);
export type RuleConfig = z.infer<typeof ruleConfigSchema>;

const aroundRule = { inner: ruleConfigSchema.default({ name: 'fedavg' }) };
const moments = { beta1: momentum.default(0.9), beta2: momentum.default(0.99), tau: rate.default(1e-3) };
const withMomentum = { momentum: momentum.default(0.9), ...aroundRule };

const fedavgm = z.strictObject({ name: z.literal('fedavgm'), learningRate: rate.default(1), momentum: momentum.default(0), ...aroundRule });
const fedmom = z.strictObject({ name: z.literal('fedmom'), learningRate: rate.default(1), ...withMomentum });
const diloco = z.strictObject({ name: z.literal('diloco'), learningRate: rate.default(0.7), ...withMomentum });
const fedadagrad = z.strictObject({
  name: z.literal('fedadagrad'),
  learningRate: rate.default(0.1),
  tau: rate.default(1e-3),
  ...aroundRule,
});
const fedadam = z.strictObject({ name: z.literal('fedadam'), learningRate: rate.default(0.1), ...moments, ...aroundRule });
const fedyogi = z.strictObject({ name: z.literal('fedyogi'), learningRate: rate.default(0.01), ...moments, ...aroundRule });

/** What the server does with the combined updates. */
export const optimizerConfigSchema = z.discriminatedUnion('name', [fedavgm, fedmom, diloco, fedadagrad, fedadam, fedyogi]);
export type OptimizerConfig = z.infer<typeof optimizerConfigSchema>;

const aroundAll = {
  inner: z.discriminatedUnion('name', [ruleConfigSchema, optimizerConfigSchema]).default({ name: 'fedavg' }),
};
const privacy = {
  noiseMultiplier: z.number().min(0),
  /** No round starts that would exceed it. */
  budget: z.strictObject({ epsilon: rate, delta: z.number().gt(0).lt(1) }).optional(),
  /** Clients are chosen by `selectClients` with `method: 'poisson'` at this fraction: sampling counts in privacy's favour. */
  poissonRate: z.number().gt(0).max(1).optional(),
};
const dpFixed = z.strictObject({ name: z.literal('dp-fixed'), clippingNorm: rate, ...privacy, ...aroundAll });
const dpAdaptive = z.strictObject({
  name: z.literal('dp-adaptive'),
  initialClippingNorm: rate.default(0.1),
  targetQuantile: z.number().min(0).max(1).default(0.5),
  clippingLearningRate: rate.default(0.2),
  countStddev: rate.optional(),
  ...privacy,
  ...aroundAll,
});

/** Differential privacy around a rule or an optimiser. */
export const privacyConfigSchema = z.discriminatedUnion('name', [dpFixed, dpAdaptive]);
export type PrivacyConfig = z.infer<typeof privacyConfigSchema>;

/** Options that stand at the outermost level, whatever the strategy. */
const common = {
  /** Checks beyond names, shapes and finite values. */
  guards: z
    .strictObject({
      maxUpdateNorm: rate.optional(),
      acceptedDtypes: z.array(z.enum(['F32', 'BF16', 'F16', 'I8'])).optional(),
      maxControlNorm: rate.optional(),
    })
    .default({}),
  /** Fraction of the asked clients that must give a usable update, or the round does not count. */
  minCompletionRate: z.number().min(0).max(1).default(0),
  /** μ and learning rate from round to round; `zk0` is the original system's schedule. */
  schedule: scheduleConfigSchema.optional(),
};

const faultTolerant = z.strictObject({
  name: z.literal('fault-tolerant-fedavg'),
  ...common,
  minCompletionRate: z.number().min(0).max(1).default(0.5),
});

/** A strategy's configuration: a name and that strategy's options. Unknown keys are refused. */
export const strategyConfigSchema = z.discriminatedUnion('name', [
  fedavg.extend(common),
  fedprox.extend(common),
  faultTolerant,
  fedmedian.extend(common),
  fedtrimmedavg.extend(common),
  meamed.extend(common),
  krum.extend(common),
  multikrum.extend(common),
  bulyan.extend(common),
  qfedavg.extend(common),
  scaffold.extend(common),
  fedbuff.extend(common),
  fedavgm.extend(common),
  fedmom.extend(common),
  diloco.extend(common),
  fedadagrad.extend(common),
  fedadam.extend(common),
  fedyogi.extend(common),
  dpFixed.extend(common),
  dpAdaptive.extend(common),
]);

/** A complete configuration. */
export type StrategyConfig = z.infer<typeof strategyConfigSchema>;
/** What a user writes: a name, and what differs from the defaults. */
export type StrategyConfigInput = z.input<typeof strategyConfigSchema>;

/**
 * Checks a configuration and fills in defaults.
 *
 * @throws StrategyConfigError naming every option at fault, or why parts do not go together.
 */
export function parseStrategyConfig(config: unknown): StrategyConfig {
  checkNesting(config);
  const parsed = strategyConfigSchema.safeParse(config);
  if (parsed.success) return parsed.data;
  const name = (config as { readonly name?: unknown } | null)?.name;
  const known = strategyConfigSchema.options.map((option) => option.shape.name.value);
  if (!known.some((candidate) => candidate === name)) {
    throw new StrategyConfigError(`there is no strategy ${JSON.stringify(name)}`, {
      hint: `Choose one of ${known.join(', ')}.`,
    });
  }
  const said = parsed.error.issues.map((issue) => [issue.path.join('.'), describeIssue(issue)].filter((part) => part !== '').join(' '));
  const options = strategyConfigSchema.options.find((option) => option.shape.name.value === name)!;
  throw new StrategyConfigError(`strategy ${String(name)}: ${said.join('; ')}`, {
    hint: `Its options are ${Object.keys(options.shape).filter((key) => key !== 'name').join(', ')}.`,
  });
}
