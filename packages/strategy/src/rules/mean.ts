import { UpdateRejectedError } from '../errors.ts';
import type { ClientUpdate } from '../contract.ts';
import type { Rule } from './rule.ts';

/** The example-weighted mean of FedAvg (McMahan et al., 2017) and FedProx (Li et al., 2020), whose difference lies in the client. */
export function examplesMean(name: string): Rule {
  return {
    name,
    minUpdates: 1,
    needsNorms: false,
    boundedBy: (count) => count,
    combine: ({ updates }) => ({ kind: 'mean', weights: updates.map(({ numExamples }) => numExamples) }),
  };
}

/**
 * FedBuff (Nguyen et al., 2022): the mean of the differences of `bufferSize` or more updates, each from the global version that
 * its client started from, weighted 1/√(1 + staleness).
 */
export function bufferedMean(bufferSize: number): Rule {
  return {
    name: 'fedbuff',
    minUpdates: bufferSize,
    acceptsStale: true,
    needsNorms: false,
    check(update) {
      if ((update.staleness ?? 0) > 0 && update.kind !== 'delta' && update.base === undefined) {
        throw new UpdateRejectedError('UPDATE_INCOMPLETE', update.clientId, 'a stale update without what it started from', {
          hint: 'Send the difference (kind: delta), or give the base parameters.',
        });
      }
    },
    combine: ({ updates }) => ({
      kind: 'mean',
      anchored: true,
      weights: updates.map(({ staleness = 0 }) => 1 / Math.sqrt(1 + staleness)),
      divisor: updates.length,
    }),
  };
}

/**
 * q-FedAvg (Li et al., 2020, "Fair resource allocation"): clients with a higher loss F count more.
 * `w ← w − Σ Δ_k / Σ h_k` with `L = 1/learningRate`, `Δ_k = F^q·L(w − w_k)`, `h_k = q·F^(q−1)·‖L(w − w_k)‖² + L·F^q`.
 */
export function fairMean(q: number, learningRate: number): Rule {
  const lipschitz = 1 / learningRate;
  return {
    name: 'qfedavg',
    minUpdates: 1,
    check(update) {
      const loss = lossOf(update);
      if ((loss + 1e-10) ** q * lipschitz <= MAX_FAIR_WEIGHT) return;
      throw new UpdateRejectedError('UPDATE_BAD_METRIC', update.clientId, `a loss of ${loss} is too large for q-FedAvg`);
    },
    combine({ updates }) {
      const losses = updates.map((update) => lossOf(update) + 1e-10);
      const weights = losses.map((loss) => loss ** q * lipschitz);
      const divisor = updates.reduce((sum, { norm }, index) => {
        const loss = losses[index]!;
        return sum + q * loss ** (q - 1) * (lipschitz * norm) ** 2 + lipschitz * loss ** q;
      }, 0);
      return { kind: 'mean', anchored: true, weights, divisor };
    },
  };
}

/** Weights and their products with squared norms stay far below float64's end, and so do their sums. */
const MAX_FAIR_WEIGHT = 1e100;

function lossOf({ clientId, metrics }: ClientUpdate): number {
  const loss = metrics['loss'];
  if (loss === undefined || !(loss >= 0)) {
    throw new UpdateRejectedError('UPDATE_BAD_METRIC', clientId, `q-FedAvg needs a loss of at least 0, got ${loss ?? 'none'}`);
  }
  return loss;
}
