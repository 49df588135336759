import type { AggregationInput } from './contract.ts';
import { operands } from './check-update.ts';
import type { Operand } from './engine/operands.ts';
import type { PassRunner } from './engine/pass.ts';
import type { Combine, Member } from './kernels/combine.ts';
import { AggregationError } from './errors.ts';
import { pairIndex } from './kernels/distances.ts';
import type { CheckedUpdate, Combination } from './rules/rule.ts';

/** Kernels that sort are as long as the network, and take seconds to compile beyond this. */
const MAX_COLUMN_MEMBERS = 512;

/** A combination as the kernel sees it: with the tensors that it reads. */
export interface PlannedCombine {
  readonly combine: Combine;
  /** What `combine` names, in the order of its indices; `offset` operands come before them. */
  readonly operands: (tensor: string) => readonly Operand[];
}

/**
 * Turns a rule's combination into operands and coefficients.
 *
 * @param scales Clipping factors, one per update; `null` without privacy.
 * @param offset How many operands (the global parameters, the optimiser's state) come before the clients'.
 */
export function planCombine(
  combination: Combination,
  updates: readonly CheckedUpdate[],
  scales: readonly number[] | null,
  offset: number,
): PlannedCombine {
  if (combination.kind !== 'mean') {
    const { members, operands } = planMembers(updates, combination.members ?? [...updates.keys()], scales, offset);
    if (combination.kind === 'columns' && members.length > MAX_COLUMN_MEMBERS) {
      throw new AggregationError('TOO_MANY_UPDATES', `${members.length} updates, a rule that sorts takes ${MAX_COLUMN_MEMBERS}`, {
        hint: 'Ask fewer clients a round.',
      });
    }
    return {
      combine:
        combination.kind === 'columns'
          ? { kind: 'columns', members, rule: combination.rule }
          : { kind: 'custom', members, combine: combination.combine },
      operands,
    };
  }
  // Clipping bounds what one client can do only if all weigh the same.
  const weights = scales ?? combination.weights;
  const used = [...updates.keys()].filter((index) => weights[index] !== 0);
  const sum = used.reduce((total, index) => total + weights[index]!, 0);
  const divisor = scales === null ? (combination.divisor ?? sum) : updates.length;
  const anchored = scales !== null || combination.anchored === true;
  const { members, operands } = planMembers(updates, used, null, offset);
  const terms = members.map(({ operand }, at) => ({ operand, coefficient: weights[used[at]!]! }));
  // A difference, or weights with the base taken off, stand for the global parameters plus that.
  let relative = 0;
  for (const [at, { isDelta, base }] of members.entries()) {
    const weight = weights[used[at]!]!;
    if (base !== null) terms.push({ operand: base, coefficient: -weight });
    if (isDelta || base !== null) relative += weight;
  }
  const globalCoefficient = relative / divisor + (anchored ? 1 - sum / divisor : 0);
  return { combine: { kind: 'linear', terms, divisor, globalCoefficient }, operands };
}

/** Squared distances between all pairs of updates, in one pass. */
export async function pairDistances(
  input: AggregationInput,
  updates: readonly CheckedUpdate[],
  run: PassRunner,
): Promise<(a: number, b: number) => number> {
  const count = updates.length;
  const sums = new Float64Array((count * (count - 1)) / 2);
  const global = operands(input.global);
  const planned = planMembers(updates, [...updates.keys()], null, 1);
  await run({
    tensors: input.global.specs,
    kernel: { kind: 'distances', members: planned.members },
    operands: ({ name }) => [global(name), ...planned.operands(name)],
    reduce: (partial, { tensor }) => {
      for (let pair = 0; pair < sums.length; pair++) sums[pair]! += partial[pair]!;
      // Differences of finite values are; those of an update that nobody has read need not be.
      if (!sums.every((sum) => Number.isFinite(sum))) throw new AggregationError('NON_FINITE_RESULT', `tensor ${tensor}: a distance is not finite`);
    },
  });
  return (a, b) => (a === b ? 0 : sums[pairIndex(Math.min(a, b), Math.max(a, b), count)]!);
}

function planMembers(
  updates: readonly CheckedUpdate[],
  used: readonly number[],
  scales: readonly number[] | null,
  offset: number,
): { readonly members: readonly Member[]; readonly operands: (tensor: string) => readonly Operand[] } {
  const sources: ((name: string) => Operand)[] = [];
  const place = (source: (name: string) => Operand): number => offset + sources.push(source) - 1;
  const members = used.map((index): Member => {
    const { tensors, kind, base } = updates[index]!;
    const isDelta = kind === 'delta';
    return {
      operand: place(operands(tensors)),
      isDelta,
      base: isDelta || base === undefined ? null : place(operands(base)),
      scale: scales?.[index] ?? 1,
    };
  });
  return { members, operands: (tensor) => sources.map((source) => source(tensor)) };
}
