import type { Metrics } from '@zk0/core';
import * as z from 'zod';
import type { Scalars } from '../contract.ts';
import { AggregationError, PrivacyBudgetError, StrategyConfigError, TooFewClientsError } from '../errors.ts';
import { privacySpent, type PrivacyEvent } from './accountant.ts';
import { addGaussian, deriveNoiseKey, NOISE_SECRET_BYTES } from './noise.ts';

/** Clients per unit of the count's noise, by default (Andrew et al., 2021). */
const COUNT_PER_STDDEV = 20;

/** δ at which ε is reported of a run without a budget; one over the number of clients, or less, is usual, and no federation here has so many. */
export const REPORTED_DELTA = 1e-5;

/** How clipping norms are found. */
export type Clipping =
  | { readonly kind: 'fixed'; readonly norm: number }
  /** Follows a quantile of the clients' norms (Andrew et al., 2021). */
  | {
      readonly kind: 'adaptive';
      readonly initialNorm: number;
      readonly targetQuantile: number;
      readonly learningRate: number;
      /** σ_b, noise on the number of unclipped clients; a twentieth of the clients by default. */
      readonly countStddev?: number | undefined;
    };

/** Central differential privacy of clients. */
export interface PrivacyOptions {
  /** z: noise in units of the clipping norm. */
  readonly noiseMultiplier: number;
  readonly clipping: Clipping;
  /** Rounds beyond this are refused before they start. */
  readonly budget?: { readonly epsilon: number; readonly delta: number } | undefined;
  /** With Poisson sampling of clients at this rate, the accountant counts sampling in privacy's favour. */
  readonly poissonRate?: number | undefined;
}

/** What a round's updates are subjected to. */
export interface PrivateRound {
  /** Each update's factor: min(1, clip/norm). */
  readonly scales: readonly number[];
  /** Standard deviation of the noise on a combination that `boundedBy` divides. */
  sigma(boundedBy: number): number;
  /** Where the noise comes from; `null` for none. */
  readonly noiseKey: Uint8Array | null;
  readonly metrics: Metrics;
  readonly scalars: Scalars;
}

/**
 * z_eff: noise multiplier of the updates when the count of unclipped clients is noised with standard deviation `countStddev`,
 * so that both together cost what `noiseMultiplier` alone would: `(z⁻² − (2σ_b)⁻²)^−½`.
 *
 * @throws StrategyConfigError unless z < 2σ_b.
 */
export function effectiveNoiseMultiplier(noiseMultiplier: number, countStddev: number): number {
  if (noiseMultiplier === 0) return 0;
  if (noiseMultiplier >= 2 * countStddev) {
    throw new StrategyConfigError(
      `adaptive clipping needs a noise multiplier below 2·countStddev, got ${noiseMultiplier} and ${countStddev}`,
      { hint: 'Lower noiseMultiplier, raise countStddev, or have more clients in a round (countStddev is a twentieth of them).' },
    );
  }
  return (noiseMultiplier ** -2 - (2 * countStddev) ** -2) ** -0.5;
}

/** Factor that brings a norm to at most `clip`. A zero update stays as it is. */
export function clipScale(norm: number, clip: number): number {
  return norm <= clip ? 1 : clip / norm;
}

/** Clipping, noise and the ledger. Its state is in the strategy's scalars. */
export class PrivacyMechanism {
  readonly #options: PrivacyOptions;

  constructor(options: PrivacyOptions) {
    this.#options = options;
    const { noiseMultiplier, clipping, budget } = options;
    if (budget !== undefined && noiseMultiplier === 0) {
      throw new StrategyConfigError('a privacy budget without noise (noiseMultiplier 0) is exceeded by the first round');
    }
    if (clipping.kind === 'adaptive' && clipping.countStddev !== undefined) {
      effectiveNoiseMultiplier(noiseMultiplier, clipping.countStddev);
    }
  }

  /** Fewest updates that can be made private: the noise on the count of unclipped clients grows with their number. */
  get minUpdates(): number {
    const { clipping, noiseMultiplier } = this.#options;
    if (clipping.kind === 'fixed' || clipping.countStddev !== undefined || noiseMultiplier === 0) return 1;
    return Math.floor(noiseMultiplier * COUNT_PER_STDDEV * 0.5 + 1e-9) + 1;
  }

  /**
   * Call before a round starts.
   *
   * @throws PrivacyBudgetError when it would exceed the budget.
   * @throws TooFewClientsError when adaptive clipping cannot noise so few clients.
   */
  admit(scalars: Scalars, clients: number): void {
    const { budget } = this.#options;
    if (clients < this.minUpdates) throw new TooFewClientsError(clients, this.minUpdates);
    if (budget === undefined) return;
    const spent = privacySpent(readLedger(scalars), budget.delta);
    const next = privacySpent(this.#record(scalars), budget.delta);
    if (next > budget.epsilon) throw new PrivacyBudgetError(spent, next, budget.epsilon, budget.delta);
  }

  /** Whether {@link round} needs a secret: without noise nothing is hidden. */
  get needsNoiseSecret(): boolean {
    return this.#options.noiseMultiplier > 0;
  }

  /**
   * Clipping and noise of a round, given the norms of its updates.
   *
   * @param secret - what the noise comes from; see {@link assertSecret}.
   * @throws AggregationError `NOISE_SECRET_MISSING`
   */
  round(norms: readonly number[], scalars: Scalars, secret: Uint8Array | undefined, round: number): PrivateRound {
    const { clipping, noiseMultiplier, budget } = this.#options;
    const ledger = this.#record(scalars);
    const noiseKey = noiseMultiplier === 0 ? null : deriveNoiseKey(this.assertSecret(secret), 'round', round);
    const common = {
      noiseKey,
      metrics: { ...spent(ledger, budget?.delta ?? REPORTED_DELTA), dp_noise_multiplier: noiseMultiplier },
    };
    if (clipping.kind === 'fixed') {
      return {
        ...common,
        metrics: { ...common.metrics, dp_clipping_norm: clipping.norm },
        scales: norms.map((norm) => clipScale(norm, clipping.norm)),
        sigma: (boundedBy) => (noiseMultiplier * clipping.norm) / boundedBy,
        scalars: { ledger: ledger.map((event) => ({ ...event })) },
      };
    }
    const clip = clippingNorm(scalars) ?? clipping.initialNorm;
    const countStddev = noiseMultiplier === 0 ? 0 : (clipping.countStddev ?? norms.length / COUNT_PER_STDDEV);
    const multiplier = effectiveNoiseMultiplier(noiseMultiplier, countStddev);
    const unclipped = norms.filter((norm) => norm <= clip).length;
    const count = Float64Array.of(unclipped);
    if (noiseKey !== null) addGaussian(deriveNoiseKey(noiseKey, 'count'), 0, countStddev, count);
    const fraction = count[0]! / norms.length;
    const next = clip * Math.exp(-clipping.learningRate * (fraction - clipping.targetQuantile));
    return {
      ...common,
      scales: norms.map((norm) => clipScale(norm, clip)),
      // The noise belongs to the norm that clipped, not to the one that was just learnt from the same updates.
      sigma: (boundedBy) => (multiplier * clip) / boundedBy,
      metrics: { ...common.metrics, dp_clipping_norm: clip },
      scalars: { ledger: ledger.map((event) => ({ ...event })), clippingNorm: next },
    };
  }

  /**
   * Refuses to add noise that somebody else could compute.
   *
   * @returns the secret.
   * @throws AggregationError `NOISE_SECRET_MISSING` unless it has {@link NOISE_SECRET_BYTES} bytes or more.
   */
  assertSecret(secret: Uint8Array | undefined): Uint8Array {
    if (secret !== undefined && secret.byteLength >= NOISE_SECRET_BYTES) return secret;
    throw new AggregationError('NOISE_SECRET_MISSING', `privacy needs a secret of at least ${NOISE_SECRET_BYTES} bytes for its noise, got ${secret?.byteLength ?? 'none'}`, {
      hint: 'Draw one with createNoiseSecret() when the run begins, and keep it with the run’s state.',
    });
  }

  #record(scalars: Scalars): readonly PrivacyEvent[] {
    const { noiseMultiplier, poissonRate: samplingRate = 1 } = this.#options;
    const ledger = readLedger(scalars);
    const last = ledger.at(-1);
    return last?.noiseMultiplier === noiseMultiplier && last.samplingRate === samplingRate
      ? [...ledger.slice(0, -1), { ...last, rounds: last.rounds + 1 }]
      : [...ledger, { noiseMultiplier, samplingRate, rounds: 1 }];
  }
}

/** ε so far and its δ; nothing where there is no noise, for ε is infinite then. */
function spent(ledger: readonly PrivacyEvent[], delta: number): Metrics {
  const epsilon = privacySpent(ledger, delta);
  return Number.isFinite(epsilon) ? { dp_epsilon: epsilon, dp_delta: delta } : {};
}

const ledgerSchema = z.array(
  z.strictObject({ noiseMultiplier: z.number().min(0), samplingRate: z.number().min(0).max(1), rounds: z.int().min(1) }),
);

/** The rounds that a run's scalars account for. */
export function readLedger(scalars: Scalars): readonly PrivacyEvent[] {
  const parsed = ledgerSchema.safeParse(scalars['ledger'] ?? []);
  // Starting again from an empty ledger would grant the budget twice.
  if (!parsed.success) throw new AggregationError('STATE_MISMATCH', 'the privacy ledger in the saved state is damaged');
  return parsed.data;
}

function clippingNorm(scalars: Scalars): number | undefined {
  const norm = scalars['clippingNorm'];
  if (norm === undefined) return undefined;
  if (typeof norm !== 'number' || !(norm > 0)) throw new AggregationError('STATE_MISMATCH', 'the saved clipping norm is not a positive number');
  return norm;
}
