import { UpdateRejectedError } from '../errors.ts';
import type { ClientUpdate } from '../contract.ts';
import type { Rule } from './rule.ts';

/** The example-weighted mean of FedAvg (McMahan et al., 2017) and FedProx (Li et al., 2020), whose difference lies in the client. */
export function examplesMean(name: string): Rule {
  return {
    name,
    minUpdates: 1,
    needsNorms: false,
    takesUnequalSteps: true,
    needsSumOnly: true,
    boundedBy: (count) => count,
    combine({ updates }) {
      const examples = updates.map(({ numExamples }) => numExamples);
      const scales = perStep(updates, examples);
      if (scales === null) return { kind: 'mean', weights: examples };
      return { kind: 'mean', anchored: true, weights: examples.map((count, index) => count * scales[index]!), divisor: sum(examples) };
    },
  };
}

/**
 * What each update is multiplied with where the clients made different numbers of steps: the difference per step, times the mean number of
 * steps (FedNova; Wang et al., 2020). So a client's optimum does not weigh more because its machine is faster.
 *
 * @param weights of the clients in the mean number of steps.
 * @returns `null` where all made the same number, or none said.
 */
function perStep(updates: readonly ClientUpdate[], weights: readonly number[]): readonly number[] | null {
  const steps = updates.map(({ localSteps }) => localSteps);
  if (steps.every((count) => count === steps[0])) return null;
  const known = steps.map((count, index) => {
    if (count !== undefined && count > 0) return count;
    throw new UpdateRejectedError('UPDATE_INCOMPLETE', updates[index]!.clientId, 'others say how many steps they made, and it does not');
  });
  const mean = sum(known.map((count, index) => count * weights[index]!)) / sum(weights);
  return known.map((count) => mean / count);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/**
 * FedBuff (Nguyen et al., 2022): the mean of the differences of `bufferSize` or more updates, each from the global version that
 * its client started from, weighted 1/√(1 + staleness); one that started more than `maxStaleness` versions ago is refused.
 */
export function bufferedMean(bufferSize: number, maxStaleness: number): Rule {
  return {
    name: 'fedbuff',
    minUpdates: bufferSize,
    acceptsStale: true,
    buffer: { size: bufferSize, maxStaleness },
    takesUnequalSteps: true,
    needsNorms: false,
    check(update) {
      if ((update.staleness ?? 0) > maxStaleness) {
        throw new UpdateRejectedError('UPDATE_STALE', update.clientId, `it started ${update.staleness!} versions ago, and at most ${maxStaleness} are allowed`, {
          hint: 'Raise maxStaleness, or give slow clients fewer steps with localStepsBySpeed.',
        });
      }
      if ((update.staleness ?? 0) > 0 && update.kind !== 'delta' && update.base === undefined) {
        throw new UpdateRejectedError('UPDATE_INCOMPLETE', update.clientId, 'a stale update without what it started from', {
          hint: 'Send the difference (kind: delta), or give the base parameters.',
        });
      }
    },
    combine({ updates }) {
      const scales = perStep(updates, updates.map(() => 1));
      const weights = updates.map(({ staleness = 0 }, index) => (scales?.[index] ?? 1) / Math.sqrt(1 + staleness));
      return { kind: 'mean', anchored: true, weights, divisor: updates.length };
    },
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
