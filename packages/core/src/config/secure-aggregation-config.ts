import * as z from 'zod';

/** Secure aggregation: clients send masked updates, and the server sees their sum alone. `@zk0/secure-aggregation` says how. */
export const secureAggregationSchema = z.strictObject({
  /** The change of a value counts as at most so much, to either side: sums are of whole numbers within a range that all agree on. */
  clip: z.number().gt(0).max(1e6).default(1),
  /**
   * A client's secrets are given away by more than this part of those who hold shares of them. More tolerates clients that help a server
   * that lies, less tolerates more dropouts.
   */
  threshold: z.number().min(0.5).max(0.9).default(0.5),
  /** Clients that each shares masks with, an even number; as many as it takes when absent, all others where they are few. */
  neighbours: z.int().min(2).max(254).multipleOf(2).optional(),
  /** How long clients have for their keys, for their shares, and for taking off masks, in seconds each. */
  stageSeconds: z.number().gt(0).max(24 * 3600).default(120),
});
export type SecureAggregationConfig = z.infer<typeof secureAggregationSchema>;

/** The same as a setting: `true` stands for all defaults, `false` for none of it. */
export const secureAggregationSetting = z.preprocess(
  (value) => (value === true ? {} : value === false ? undefined : value),
  secureAggregationSchema.optional(),
);
