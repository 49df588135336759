import { medianCut } from '../kernels/columns.ts';
import type { ExcludedUpdate } from '../contract.ts';
import type { Combination, Rule, RuleContext } from './rule.ts';

/** Coordinate-wise median (Yin et al., 2018), unweighted. */
export function median(): Rule {
  return {
    name: 'fedmedian',
    minUpdates: 1,
    needsNorms: false,
    boundedBy: (count) => count - 2 * medianCut(count),
    combine: ({ updates }) => ({ kind: 'columns', rule: { kind: 'trimmed', cut: medianCut(updates.length) } }),
  };
}

/** Coordinate-wise mean without the `⌊beta·n⌋` lowest and highest values (Yin et al., 2018), unweighted. */
export function trimmedMean(beta: number): Rule {
  // 0.29 · 100 is 28.999999999999996: a product this close to a whole number is that number.
  const cut = (count: number): number => Math.floor(beta * count + 1e-9);
  return {
    name: 'fedtrimmedavg',
    minUpdates: 1,
    needsNorms: false,
    boundedBy: (count) => count - 2 * cut(count),
    combine: ({ updates }) => ({ kind: 'columns', rule: { kind: 'trimmed', cut: cut(updates.length) } }),
  };
}

/** Mean around the median (Xie et al., 2018): coordinate-wise mean of the `count` values nearest the median, unweighted. */
export function meanAroundMedian(count: number): Rule {
  return {
    name: 'meamed',
    minUpdates: count,
    needsNorms: false,
    combine: () => ({ kind: 'columns', rule: { kind: 'nearest', count } }),
  };
}

/**
 * Krum and Multi-Krum (Blanchard et al., 2017): the example-weighted mean of the `keep` updates whose summed squared distance to
 * their `n − malicious − 2` nearest others is least.
 */
export function krum(name: 'krum' | 'multikrum', malicious: number, keep: number): Rule {
  return {
    name,
    // The proof needs n ≥ 2f + 3. Flower does not insist, and its own example is three clients of which one is malicious:
    // n ≥ f + 2 is what the score needs to look at anybody at all.
    minUpdates: Math.max(keep, malicious === 0 ? 1 : malicious + 2),
    needsNorms: false,
    async combine(context): Promise<Combination> {
      const chosen = await lowestScores(context, malicious, keep);
      return {
        kind: 'mean',
        weights: context.updates.map(({ numExamples }, index) => (chosen.has(index) ? numExamples : 0)),
        excluded: notChosen(context, chosen, name),
      };
    },
  };
}

/**
 * Bulyan (El Mhamdi et al., 2018): Multi-Krum chooses θ = n − 2f updates, then each coordinate is the mean of the θ − 2f values
 * nearest their median.
 */
export function bulyan(malicious: number): Rule {
  return {
    name: 'bulyan',
    minUpdates: 4 * malicious + 3,
    needsNorms: false,
    async combine(context): Promise<Combination> {
      const theta = context.updates.length - 2 * malicious;
      const chosen = await lowestScores(context, malicious, theta);
      return {
        kind: 'columns',
        rule: { kind: 'nearest', count: theta - 2 * malicious },
        members: [...chosen].sort((a, b) => a - b),
        excluded: notChosen(context, chosen, 'bulyan'),
      };
    },
  };
}

/** The `keep` updates with the lowest Krum score; of equal ones, the first by client id. */
async function lowestScores({ updates, distances }: RuleContext, malicious: number, keep: number): Promise<ReadonlySet<number>> {
  if (keep >= updates.length) return new Set(updates.keys());
  const distance = await distances();
  const nearest = Math.max(1, updates.length - malicious - 2);
  const scores = updates.map((_, index) => {
    const others = Float64Array.from(
      updates.flatMap((_other, other) => (other === index ? [] : [distance(index, other)])),
    ).sort();
    return others.subarray(0, nearest).reduce((sum, value) => sum + value, 0);
  });
  const order = [...scores.keys()].sort((a, b) => scores[a]! - scores[b]! || a - b);
  return new Set(order.slice(0, keep));
}

function notChosen({ updates }: RuleContext, chosen: ReadonlySet<number>, name: string): ExcludedUpdate[] {
  return updates.flatMap(({ clientId }, index) =>
    chosen.has(index) ? [] : [{ clientId, code: 'NOT_CHOSEN', reason: `${name}: too far from the other updates` }],
  );
}
