import { encodeBfloat16, encodeFloat16, Random } from '@zk0/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { columnReference, combineReference, meanOfNearest, memberReference, squaredDistance, stepReference } from '../../test/reference.ts';
import { bytesOf, operandOf, randomValues, runTile, type TileOperand } from '../../test/tile.ts';
import type { AveragedDtype, StoredDtype } from '../engine/operands.ts';
import type { AggregateSpec } from './aggregate.ts';
import { medianCut, type ColumnRule } from './columns.ts';
import type { Combine, Member } from './combine.ts';
import { pairIndex } from './distances.ts';
import { OPTIMIZER_STATE, type OptimizerStep } from './optimizers.ts';
import { sortingNetwork } from './sorting-network.ts';

const DTYPES: readonly StoredDtype[] = ['F32', 'BF16', 'F16', 'I8'];
const REPLACE: OptimizerStep = { kind: 'replace' };
const ADAPTIVE = { learningRate: 0.1, beta1: 0.9, beta2: 0.99, tau: 1e-3 };
const STEPS: readonly OptimizerStep[] = [
  REPLACE,
  { kind: 'momentum', learningRate: 0.7, momentum: 0.9 },
  { kind: 'nesterov', learningRate: 0.7, momentum: 0.9 },
  { kind: 'adagrad', learningRate: 0.1, tau: 1e-3 },
  { kind: 'adam', ...ADAPTIVE },
  { kind: 'yogi', ...ADAPTIVE },
];
const plain = (operand: number): Member => ({ operand, isDelta: false, base: null, scale: 1 });

function operandsOf(random: Random, length: number, dtypes: readonly StoredDtype[]): TileOperand[] {
  return dtypes.map((dtype) => operandOf(dtype, randomValues(random, length)));
}

function aggregateSpec(combine: Combine, optimizer: OptimizerStep = REPLACE, stateCount = 0): AggregateSpec {
  return { kind: 'aggregate', combine, noise: null, optimizer, stateCount };
}

/** What the kernel's results and sums should be, to the bit. */
function expectAggregate(spec: AggregateSpec, operands: readonly TileOperand[], dtype: AveragedDtype, length: number): void {
  const values = operands.map((operand) => operand.values);
  const combined = combineReference(spec.combine, values, length);
  const names = OPTIMIZER_STATE[spec.optimizer.kind];
  const results = [dtype, ...names.map(() => 'F32' as const)];
  const expected = results.map(() => new Float32Array(length));
  for (let index = 0; index < length; index++) {
    const state = values.slice(1, 1 + spec.stateCount).map((array) => array[index]!);
    stepReference(spec.optimizer, combined[index]!, values[0]![index]!, state).forEach((value, at) => (expected[at]![index] = value));
  }
  const actual = runTile(spec, operands, results, length);
  const [parameters, ...state] = expected;
  const bits = new Uint16Array(length);
  const stored = dtype === 'F32' ? parameters! : dtype === 'BF16' ? encodeBfloat16(parameters!, bits) : encodeFloat16(parameters!, bits);
  expect(actual.results.map((bytes) => Buffer.from(bytes).toString('hex'))).toEqual(
    [stored, ...state].map((array) => Buffer.from(bytesOf(array)).toString('hex')),
  );
  expect(actual.partial).toEqual(Float64Array.of(0, squaredDistance(parameters!, values[0]!.subarray(0, length))));
}

const seeds = fc.string({ maxLength: 8 });
const lengths = fc.integer({ min: 1, max: 70 });

describe('kernels agree to the bit with their definition', () => {
  it('weighted sums of updates of any type', () => {
    const terms = fc.array(fc.tuple(fc.constantFrom(...DTYPES), fc.double({ min: -3, max: 1e6, noNaN: true })), { minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(seeds, lengths, terms, fc.constantFrom(0, 0.25, -1), fc.constantFrom('F32', 'BF16'), (seed, length, list, share, dtype) => {
        const operands = operandsOf(new Random(seed), length, ['F32', ...list.map(([type]) => type)]);
        const combine: Combine = {
          kind: 'linear',
          terms: list.map(([, coefficient], index) => ({ operand: index + 1, coefficient })),
          divisor: list.length + 0.5,
          globalCoefficient: share,
        };
        expectAggregate(aggregateSpec(combine), operands, dtype, length);
      }),
    );
  });

  it('every optimiser, in the first round and later', () => {
    for (const step of STEPS) {
      for (const stateCount of new Set([0, OPTIMIZER_STATE[step.kind].length])) {
        const random = new Random(`${step.kind} ${stateCount}`);
        const operands = operandsOf(random, 1000, ['F32', ...Array.from({ length: stateCount + 2 }, () => 'F32' as const)]);
        // Second moments are not negative.
        if (stateCount > 0) operands[stateCount]!.values.forEach((value, index, array) => (array[index] = Math.abs(value)));
        const terms = [1, 2].map((operand) => ({ operand: operand + stateCount, coefficient: operand }));
        const combine: Combine = { kind: 'linear', terms, divisor: 3, globalCoefficient: 0 };
        expectAggregate(aggregateSpec(combine, step, stateCount), operands, 'F32', 1000);
      }
    }
  });

  it('trimmed means, medians and means around the median', () => {
    const shape = fc.integer({ min: 1, max: 14 }).chain((count) =>
      fc.tuple(fc.array(fc.constantFrom(...DTYPES), { minLength: count, maxLength: count }), fc.nat({ max: 20 }), fc.boolean()),
    );
    fc.assert(
      fc.property(seeds, lengths, shape, (seed, length, [dtypes, pick, isTrimmed]) => {
        const count = dtypes.length;
        const rule: ColumnRule = isTrimmed
          ? { kind: 'trimmed', cut: pick % (medianCut(count) + 1) }
          : { kind: 'nearest', count: 1 + (pick % count) };
        const operands = operandsOf(new Random(seed), length, ['F32', ...dtypes]);
        // Equal values among the clients are where ranks are decided by a hair.
        if (count > 1) operands[1]!.values.forEach((value, index) => index % 3 === 0 && dtypes[0] === 'F32' && dtypes[1] === 'F32' && (operands[2]!.values[index] = value));
        const members = dtypes.map((_, index) => plain(index + 1));
        const actual = runTile(aggregateSpec({ kind: 'columns', members, rule }), operands, ['F32'], length);
        const values = new Float32Array(actual.results[0]!.buffer);
        const columns = Array.from({ length }, (_, index) => operands.slice(1).map((operand) => operand.values[index]!));
        if (isTrimmed) {
          // A network that leaves the kept values unsorted adds them in another order.
          const apart = columns.filter((column, index) => {
            const scale = column.reduce((sum, value) => sum + Math.abs(value), 0);
            return !(Math.abs(values[index]! - columnReference(rule, column)) <= 1e-6 * scale + 1e-44);
          });
          expect(apart).toEqual([]);
        } else expect([...values]).toEqual(columns.map((column) => Math.fround(columnReference(rule, column))));
      }),
    );
  });

  it('medians of one to forty clients, to the bit', () => {
    for (let count = 1; count <= 40; count += count < 12 ? 1 : 7) {
      const operands = operandsOf(new Random(count), 64, Array.from({ length: count + 1 }, () => 'F32' as const));
      const members = operands.slice(1).map((_, index) => plain(index + 1));
      expectAggregate(aggregateSpec({ kind: 'columns', members, rule: { kind: 'trimmed', cut: medianCut(count) } }), operands, 'F32', 64);
    }
  });

  it('members that are differences, have a start of their own, or are clipped', () => {
    const operands = operandsOf(new Random('members'), 100, ['F32', 'F32', 'BF16', 'I8', 'F32']);
    const members: Member[] = [
      { operand: 1, isDelta: true, base: null, scale: 1 },
      { operand: 2, isDelta: false, base: null, scale: 0.3 },
      { operand: 3, isDelta: false, base: 4, scale: 0.7 },
    ];
    for (const member of members) {
      const spec = aggregateSpec({ kind: 'columns', members: [member], rule: { kind: 'trimmed', cut: 0 } });
      const [result] = runTile(spec, operands, ['F32'], 100).results;
      const values = operands.map((operand) => operand.values);
      expect([...new Float32Array(result!.buffer)]).toEqual(Array.from({ length: 100 }, (_, index) => 0 + memberReference(member, values, index)));
    }
  });

  it('distances of all pairs, beyond one strip', () => {
    for (const [count, length] of [[2, 5], [5, 256], [9, 1000]] as const) {
      const operands = operandsOf(new Random(count), length, ['F32', ...Array.from({ length: count }, (_, index) => DTYPES[index % 4]!)]);
      const members = operands.slice(1).map((_, index) => plain(index + 1));
      const { partial } = runTile({ kind: 'distances', members }, operands, [], length);
      for (let row = 0; row < count; row++) {
        for (let column = row + 1; column < count; column++) {
          expect(partial[pairIndex(row, column, count)]).toBe(squaredDistance(operands[row + 1]!.values, operands[column + 1]!.values));
        }
      }
    }
  });

  it('norms, and where the first value lies that is not finite', () => {
    for (const dtype of DTYPES) {
      const [update, base] = operandsOf(new Random(dtype), 333, [dtype, 'F32']);
      expect(runTile({ kind: 'inspect' }, [update!, base!], [], 333).partial).toEqual(Float64Array.of(-1, squaredDistance(update!.values, base!.values)));
    }
    for (const bad of [NaN, Infinity, -Infinity]) {
      for (const dtype of ['F32', 'BF16', 'F16'] as const) {
        const values = new Float32Array(333).fill(1);
        values[200] = values[7] = bad;
        expect(runTile({ kind: 'inspect' }, [operandOf(dtype, values)], [], 333).partial[0]).toBe(7);
      }
    }
  });

  it('rounds to float16 as core does, and says when a result does not fit', () => {
    const edges = [0, -0, 6e-8, 2 ** -24, 2 ** -25, 3 * 2 ** -26, 6.1e-5, 2 ** -14, 1, 1 + 2 ** -11, 1 + 3 * 2 ** -11, -65504, 65519];
    const global = operandOf('F32', new Float32Array(edges.length));
    const spec = aggregateSpec({ kind: 'linear', terms: [{ operand: 1, coefficient: 1 }], divisor: 1, globalCoefficient: 0 });
    expectAggregate(spec, [global, operandOf('F32', Float32Array.from(edges, (value) => value + 0))], 'F16', edges.length);
    const tooLarge = operandOf('F32', Float32Array.from(edges).fill(70_000, 3, 5));
    expect(runTile(spec, [global, tooLarge], ['F16'], edges.length).partial[0]).toBe(2);
  });

  it('every bfloat16 and float16 is read as what it is', () => {
    const all = Uint16Array.from({ length: 65_536 }, (_, index) => index);
    for (const dtype of ['BF16', 'F16'] as const) {
      for (let start = 0; start < all.length; start += 4096) {
        const data = bytesOf(all.slice(start, start + 4096));
        const wide = operandOf(dtype, new Float32Array(4096));
        const { results } = runTile({ kind: 'sum', coefficients: [1] }, [{ ...wide, data }], ['F32'], 4096);
        const back = new Uint16Array(4096);
        const values = new Float32Array(results[0]!.buffer);
        if (dtype === 'BF16') encodeBfloat16(values, back);
        else encodeFloat16(values, back);
        // A sum that begins at 0 has no −0.
        expect(back.filter((bits, index) => !Number.isNaN(values[index]) && values[index] !== 0 && bits !== start + index)).toHaveLength(0);
      }
    }
  });

  it('values that are not finite show, even where sorting cuts them away', () => {
    const members = [1, 2, 3, 4, 5].map((operand) => plain(operand));
    const operands = operandsOf(new Random('poison'), 64, Array.from({ length: 6 }, () => 'F32' as const));
    const spec = aggregateSpec({ kind: 'columns', members, rule: { kind: 'trimmed', cut: 2 } });
    expect(runTile(spec, operands, ['F32'], 64).partial[0]).toBe(0);
    for (const bad of [NaN, Infinity]) {
      operands[3]!.values[41] = bad;
      expect(runTile(spec, operands, ['F32'], 64).partial[0]).toBeGreaterThan(0);
    }
  });
});

describe('n-closest mean', () => {
  const nearest = (reference: number, values: number[], count: number): number =>
    meanOfNearest(Float64Array.from(values).sort(), reference, count);

  it('vector 10: scalars', () => {
    expect(nearest(1, [1, 2, 0.5], 2)).toBe(0.75);
    expect(nearest(0, [1, -0.5, 10], 1)).toBe(-0.5);
  });

  it('vector 10: coordinates of arrays', () => {
    expect(nearest(1, [1.1, 0.9, 5], 2)).toBeCloseTo(1, 12);
    expect(nearest(2, [2.1, 1.9, 5], 2)).toBeCloseTo(2, 12);
    expect(nearest(0, [0.2, -0.1, 10], 2)).toBeCloseTo(0.05, 12);
    expect(nearest(1, [1.2, 0.8, 10], 2)).toBeCloseTo(1, 12);
  });

  it('vector 10: more than there are is an error', () => {
    expect(() => nearest(0, [1, 2], 3)).toThrow('cannot take the 3 nearest of 2 values');
  });

  it('agrees with sorting by distance', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: 9 }),
        fc.integer({ min: -60, max: 60 }),
        fc.nat(),
        (values, reference, pick) => {
          const count = 1 + (pick % values.length);
          const byDistance = [...values].sort((a, b) => Math.abs(a - reference) - Math.abs(b - reference) || a - b);
          const expected = byDistance.slice(0, count).reduce((sum, value) => sum + value, 0) / count;
          expect(nearest(reference, values, count)).toBeCloseTo(expected, 9);
        },
      ),
    );
  });
});

describe('squared distances', () => {
  it('pitfall: weights of 1e6 that differ by thousandths do not cancel', () => {
    const vectors = [0, 1e-3, 2e-3, 5e-3].map((offset) => new Float64Array(4).fill(1e6 + offset));
    expect(vectors.map((vector) => squaredDistance(vectors[0]!, vector))).toEqual([
      0, 4.0000003799796195e-6, 1.5999999657273294e-5, 1.0000000018626452e-4,
    ]);
  });

  it('pitfall: nor does the kernel lose float32 weights of 1e6 that differ by their last bits', () => {
    const steps = [0, 1, 2, 5];
    const operands = [new Float32Array(4), ...steps.map((step) => new Float32Array(4).fill(1e6 + step / 16))].map((values) => operandOf('F32', values));
    const { partial } = runTile({ kind: 'distances', members: steps.map((_, index) => plain(index + 1)) }, operands, [], 4);
    expect([...partial.subarray(0, 3)]).toEqual([1, 2, 5].map((step) => 4 * (step / 16) ** 2));
  });

  it('vector 8: noise of 1e-4 on N(0, 10), to 1e-4 relative', () => {
    const random = new Random('distances');
    const base = Float32Array.from({ length: 1000 }, () => 10 * random.normal());
    const vectors = Array.from({ length: 4 }, () => base.map((value) => value + 1e-4 * random.normal()));
    const members = vectors.map((_, index) => plain(index + 1));
    const { partial } = runTile({ kind: 'distances', members }, [base, ...vectors].map((values) => operandOf('F32', values)), [], 1000);
    for (let a = 0; a < 4; a++) {
      for (let b = a + 1; b < 4; b++) {
        let exact = 0;
        for (let index = 0; index < 1000; index++) exact += (vectors[a]![index]! - vectors[b]![index]!) ** 2;
        expect(Math.abs(partial[pairIndex(a, b, 4)]! - exact)).toBeLessThanOrEqual(1e-4 * exact);
      }
    }
  });
});

describe('sorting networks', () => {
  const apply = (column: readonly number[], network: ReturnType<typeof sortingNetwork>): number[] => {
    const wires = [...column];
    for (const [low, high] of network) [wires[low], wires[high]] = [Math.min(wires[low]!, wires[high]!), Math.max(wires[low]!, wires[high]!)];
    return wires;
  };
  const columns = fc.array(fc.integer({ min: -5, max: 5 }), { minLength: 1, maxLength: 40 });

  it('sort', () => {
    fc.assert(
      fc.property(columns, (column) => {
        const network = sortingNetwork(column.length, { from: 0, to: column.length, ordered: true });
        expect(apply(column, network)).toEqual([...column].sort((a, b) => a - b));
      }),
    );
  });

  it('give the right set of middle values when only their sum is wanted', () => {
    fc.assert(
      fc.property(columns, fc.nat(), (column, pick) => {
        const cut = pick % (medianCut(column.length) + 1);
        const network = sortingNetwork(column.length, { from: cut, to: column.length - cut, ordered: false });
        const kept = apply(column, network).slice(cut, column.length - cut);
        expect(kept.sort((a, b) => a - b)).toEqual([...column].sort((a, b) => a - b).slice(cut, column.length - cut));
      }),
    );
  });

  it('leave out what nobody looks at', () => {
    const full = sortingNetwork(32, { from: 0, to: 32, ordered: true }).length;
    expect(full).toBe(191);
    expect(sortingNetwork(32, { from: 6, to: 26, ordered: false }).length).toBeLessThan(full);
    expect(sortingNetwork(32, { from: 0, to: 32, ordered: false })).toHaveLength(0);
  });
});
