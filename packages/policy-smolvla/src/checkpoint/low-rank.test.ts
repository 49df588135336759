import { Random } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import { lowRank } from './low-rank.ts';

function normal(seed: string, size: number): Float64Array {
  return Float64Array.from(new Random(seed).fillNormal(new Float32Array(size)));
}

/** A matrix [rows, columns] with the given singular values: sums of outer products of orthonormal cosines. */
function withSingularValues(values: readonly number[], rows: number, columns: number): Float64Array {
  const direction = (index: number, size: number): Float64Array =>
    Float64Array.from({ length: size }, (_, at) => Math.sqrt((index === 0 ? 1 : 2) / size) * Math.cos((Math.PI * index * (at + 0.5)) / size));
  const matrix = new Float64Array(rows * columns);
  values.forEach((value, index) => {
    const [left, right] = [direction(index, rows), direction(index, columns)];
    for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) matrix[row * columns + column]! += value * left[row]! * right[column]!;
  });
  return matrix;
}

describe('factors of low rank', () => {
  it('leave out what the best ones leave out: the smaller singular values', () => {
    const values = Array.from({ length: 30 }, (_, index) => 0.8 ** index);
    const { squares, residualSquares } = lowRank(withSingularValues(values, 70, 50), 70, 50, 8, 'seed');
    const squared = (from: number): number => values.slice(from).reduce((sum, value) => sum + value * value, 0);
    expect(squares).toBeCloseTo(squared(0), 9);
    expect(residualSquares / squared(8)).toBeGreaterThan(0.999);
    expect(residualSquares / squared(8)).toBeLessThan(1.001);
  });

  it('are exact to float32 where the matrix has no higher rank, and where the rank is as large as the matrix', () => {
    for (const [matrix, rows, columns, rank] of [
      [withSingularValues([3, 1, 0.01], 40, 60), 40, 60, 16],
      [normal('full', 20 * 12), 20, 12, 16],
      [normal('full', 6 * 48), 6, 48, 16],
    ] as const) {
      const { a, b, squares, residualSquares } = lowRank(matrix, rows, columns, rank, 'seed');
      expect([a.length, b.length]).toEqual([rank * columns, rows * rank]);
      expect(Math.sqrt(residualSquares / squares)).toBeLessThan(1e-6);
    }
  });

  it('of nothing are nothing', () => {
    const { a, b, squares, residualSquares } = lowRank(new Float64Array(20 * 30), 20, 30, 4, 'seed');
    expect([squares, residualSquares]).toEqual([0, 0]);
    expect([...a, ...b].every((value) => value === 0)).toBe(true);
  });
});
