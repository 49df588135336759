import * as z from 'zod';
import { StrategyConfigError } from './errors.ts';

/** Options that every strategy has. */
const common = {
  /** Checks beyond names, shapes and finite values. */
  guards: z
    .strictObject({
      maxUpdateNorm: z.number().positive().optional(),
      acceptedDtypes: z.array(z.enum(['F32', 'BF16', 'F16', 'I8'])).optional(),
    })
    .default({}),
};

/** A strategy's configuration: a name and that strategy's options. Unknown keys are refused. */
export const strategyConfigSchema = z.discriminatedUnion('name', [
  z.strictObject({ name: z.literal('fedavg'), ...common }),
  z.strictObject({ name: z.literal('fedprox'), proximalMu: z.number().min(0).default(0.01), ...common }),
]);

/** A complete configuration. */
export type StrategyConfig = z.infer<typeof strategyConfigSchema>;
/** What a user writes: a name, and what differs from the defaults. */
export type StrategyConfigInput = z.input<typeof strategyConfigSchema>;

/**
 * Checks a configuration and fills in defaults.
 *
 * @throws StrategyConfigError naming every option at fault.
 */
export function parseStrategyConfig(config: unknown): StrategyConfig {
  const parsed = strategyConfigSchema.safeParse(config);
  if (parsed.success) return parsed.data;
  throw new StrategyConfigError(`strategy configuration: ${z.prettifyError(parsed.error)}`, {
    hint: 'The options of each strategy are in the README of @zk0/strategy.',
  });
}
