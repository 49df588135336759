import type { ClientUpdate, ExcludedUpdate, UpdateBuffer } from '../contract.ts';
import type { ColumnRule } from '../kernels/columns.ts';
import type { CustomCombine } from '../kernels/combine.ts';

/** An update that has passed its checks. */
export interface CheckedUpdate extends ClientUpdate {
  /** ‖update − what it started from‖ over all tensors; NaN where nobody has read it yet (see {@link Rule.needsNorms}). */
  readonly norm: number;
}

/** What a rule may look at. Indices everywhere are positions in `updates`. */
export interface RuleContext {
  /** The round's usable updates in the order of their client ids; at least the rule's `minUpdates`. */
  readonly updates: readonly CheckedUpdate[];
  /** Squared L2 distances between all pairs; one pass over the data when called. */
  readonly distances: () => Promise<(a: number, b: number) => number>;
}

/** How a rule combines the round's updates. */
export type Combination = (
  | {
      /**
       * `Σ weight·w_k / divisor`; with `anchored`, `w + Σ weight·(w_k − w) / divisor`, for weights whose sum is not the divisor.
       */
      readonly kind: 'mean';
      /** One per update; those with weight 0 are not read. */
      readonly weights: readonly number[];
      /** The sum of the weights by default. */
      readonly divisor?: number;
      readonly anchored?: boolean;
    }
  /** A statistic of each coordinate over `members` (all by default). */
  | { readonly kind: 'columns'; readonly rule: ColumnRule; readonly members?: readonly number[] }
  /** The same with a function of one's own; it runs on the calling thread. */
  | { readonly kind: 'custom'; readonly combine: CustomCombine; readonly members?: readonly number[] }
) & {
  /** Updates that the rule did not choose. */
  readonly excluded?: readonly ExcludedUpdate[];
};

/** The heart of a strategy: how many updates become one. */
export interface Rule {
  readonly name: string;
  /** Fewest updates that the rule can work with. */
  readonly minUpdates: number;
  /** Whether updates come in one after the other, and nobody is waited for. */
  readonly buffer?: UpdateBuffer;
  /** Whether the rule counts updates per step where they have different numbers of steps. */
  readonly takesUnequalSteps?: boolean;
  /** Whether the rule is the example-weighted mean and nothing else. */
  readonly needsSumOnly?: boolean;
  /** Whether updates that started from older global parameters are welcome; otherwise they are refused. */
  readonly acceptsStale?: boolean;
  /**
   * Whether {@link combine} looks at the updates' norms (default). If it does not, and whatever it returns reads every update, updates
   * that nobody has checked yet are read once instead of twice.
   */
  readonly needsNorms?: boolean;
  /**
   * Divides the noise of differential privacy: the combination of clipped updates moves by at most clip / this when one client
   * comes or goes. Absent when no such bound is known; privacy then refuses the rule.
   */
  boundedBy?(count: number): number;
  /**
   * What an update must have beyond the common checks.
   *
   * @throws UpdateRejectedError when it does not.
   */
  check?(update: ClientUpdate): void;
  combine(context: RuleContext): Combination | Promise<Combination>;
}
