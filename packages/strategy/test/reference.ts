/**
 * What the kernels compute, one value at a time: their definition, which they are compared with bit for bit.
 */
import type { Combine, Member } from '../src/kernels/combine.ts';
import type { ColumnRule } from '../src/kernels/columns.ts';
import type { OptimizerStep } from '../src/kernels/optimizers.ts';

type Values = Float32Array | Float64Array;

/** The combined values, in float64. */
export function combineReference(combine: Combine, operands: readonly Float32Array[], length: number): Float64Array {
  const global = operands[0]!;
  if (combine.kind === 'custom') throw new TypeError('custom rules have no reference');
  return Float64Array.from({ length }, (_, index) => {
    if (combine.kind === 'linear') {
      let sum = 0;
      for (const { operand, coefficient } of combine.terms) sum += coefficient * operands[operand]![index]!;
      const mean = sum * (1 / combine.divisor);
      return combine.globalCoefficient === 0 ? mean : mean + combine.globalCoefficient * global[index]!;
    }
    return columnReference(combine.rule, combine.members.map((member) => memberReference(member, operands, index)));
  });
}

/** A member's weight. */
export function memberReference({ operand, isDelta, base, scale }: Member, operands: readonly Float32Array[], index: number): number {
  const value = operands[operand]![index]!;
  if (!isDelta && base === null && scale === 1) return value;
  const global = operands[0]![index]!;
  const origin = base === null ? global : operands[base]![index]!;
  return Math.fround(global + scale * (isDelta ? value : value - origin));
}

export function columnReference(rule: ColumnRule, column: readonly number[]): number {
  const sorted = Float64Array.from(column).sort();
  if (rule.kind === 'nearest') return meanOfNearest(sorted, median(sorted), rule.count);
  const kept = sorted.subarray(rule.cut, sorted.length - rule.cut);
  return kept.reduce((sum, value) => sum + value, 0) / kept.length;
}

/** The median of sorted values. */
export function median(sorted: Float64Array): number {
  const upper = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[upper]! : (sorted[upper - 1]! + sorted[upper]!) / 2;
}

/** Mean of the `count` sorted values nearest `reference`. Of two equally near, the smaller counts. */
export function meanOfNearest(sorted: Float64Array, reference: number, count: number): number {
  if (count < 1 || count > sorted.length) throw new RangeError(`cannot take the ${count} nearest of ${sorted.length} values`);
  let first = 0;
  let last = sorted.length - 1;
  while (last - first >= count) {
    if (reference - sorted[first]! > sorted[last]! - reference) first++;
    else last--;
  }
  let sum = 0;
  for (let rank = first; rank <= last; rank++) sum += sorted[rank]!;
  return sum / count;
}

/** The new parameter and state of one value, before they are rounded. `state` is empty in the first round. */
export function stepReference(step: OptimizerStep, combined: number, global: number, state: readonly number[]): number[] {
  const delta = combined - global;
  switch (step.kind) {
    case 'replace':
      return [combined];
    case 'momentum': {
      const velocity = step.momentum * (state[0] ?? 0) + global - combined;
      return [global - step.learningRate * velocity, velocity];
    }
    case 'nesterov': {
      const iterate = global + step.learningRate * delta;
      return [iterate + step.momentum * (iterate - (state[0] ?? global)), iterate];
    }
    case 'adagrad': {
      const second = (state[0] ?? 0) + delta * delta;
      return [global + (step.learningRate * delta) / (Math.sqrt(second) + step.tau), second];
    }
    case 'adam':
    case 'yogi': {
      const [first = 0, before = 0] = state;
      const square = delta * delta;
      const m = step.beta1 * first + (1 - step.beta1) * delta;
      const growth = (1 - step.beta2) * square;
      const v = step.kind === 'adam' ? step.beta2 * before + growth : before - growth * Math.sign(before - square);
      return [global + (step.learningRate * m) / (Math.sqrt(v) + step.tau), m, v];
    }
  }
}

/** Σ (a − b)² in float64: eight sums side by side, added in pairs. */
export function squaredDistance(a: Values, b: Values): number {
  const sums = new Float64Array(8);
  for (let index = 0; index < a.length; index++) sums[index % 8]! += (a[index]! - b[index]!) ** 2;
  const pair = (lane: number): number => sums[lane]! + sums[lane + 1]!;
  return pair(0) + pair(2) + (pair(4) + pair(6));
}
