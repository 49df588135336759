/**
 * @module
 * The best factors of a given rank for a matrix, in float64: a seeded subspace iteration (Halko, Martinsson and Tropp 2011,
 * algorithm 4.4) and the eigenvectors of what it found.
 */
import { lowRankRow, Random } from '@zk0/core';

/** Directions beyond the rank, and passes over the matrix: the error is then that of the best factors, to a part in thousands. */
const OVERSAMPLING = 16;
const PASSES = 4;

/** Factors of a matrix [rows, columns], and how much of it they leave out. */
export interface LowRank {
  /** [rank, columns] */
  readonly a: Float32Array;
  /** [rows, rank] */
  readonly b: Float32Array;
  /** Sums of squares: of the matrix, and of what `b · a` differs from it. */
  readonly squares: number;
  readonly residualSquares: number;
}

/** Factors with `b · a` nearest to `matrix`, both of the same size; columns beyond the matrix's own rank are zero. */
export function lowRank(matrix: Float64Array, rows: number, columns: number, rank: number, seed: string): LowRank {
  const width = Math.min(rank + OVERSAMPLING, rows, columns);
  // Rows of `basis` are orthonormal directions among the rows' space: [width, rows].
  let basis = orthonormal(timesTransposed(new Random(seed).fillNormal(new Float32Array(width * columns)), matrix, width, rows, columns), width, rows);
  for (let pass = 0; pass < PASSES; pass++) {
    const across = orthonormal(times(basis, matrix, width, rows, columns), width, columns);
    basis = orthonormal(timesTransposed(across, matrix, width, rows, columns), width, rows);
  }
  const reduced = times(basis, matrix, width, rows, columns);
  const { values, vectors } = symmetricEigen(timesTransposed(reduced, reduced, width, width, columns), width);
  const kept = [...values.keys()].sort((one, other) => values[other]! - values[one]!).slice(0, Math.min(rank, width));
  const [a, b] = [new Float32Array(rank * columns), new Float32Array(rows * rank)];
  kept.forEach((vector, at) => {
    const size = Math.max(values[vector]!, 0) ** 0.25;
    if (size === 0) return;
    for (let index = 0; index < width; index++) {
      const share = vectors[index * width + vector]!;
      for (let row = 0; row < rows; row++) b[row * rank + at]! += share * basis[index * rows + row]! * size;
      for (let column = 0; column < columns; column++) a[at * columns + column]! += (share * reduced[index * columns + column]!) / size;
    }
  });
  return { a, b, ...residual(matrix, a, b, rows, columns, rank) };
}

function residual(matrix: Float64Array, a: Float32Array, b: Float32Array, rows: number, columns: number, rank: number): { squares: number; residualSquares: number } {
  let [squares, residualSquares] = [0, 0];
  const line = new Float64Array(columns);
  for (let row = 0; row < rows; row++) {
    lowRankRow(a, b, rank, row, line);
    for (let column = 0; column < columns; column++) {
      const value = matrix[row * columns + column]!;
      squares += value * value;
      residualSquares += (value - line[column]!) ** 2;
    }
  }
  return { squares, residualSquares };
}

/** `left` [width, rows] · `matrix` [rows, columns]. */
function times(left: ArrayLike<number>, matrix: Float64Array, width: number, rows: number, columns: number): Float64Array {
  const product = new Float64Array(width * columns);
  for (let index = 0; index < width; index++) {
    for (let row = 0; row < rows; row++) {
      const weight = left[index * rows + row]!;
      for (let column = 0; column < columns; column++) product[index * columns + column]! += weight * matrix[row * columns + column]!;
    }
  }
  return product;
}

/** `left` [width, columns] · `matrix`ᵀ, of `matrix` [rows, columns]. */
function timesTransposed(left: ArrayLike<number>, matrix: Float64Array, width: number, rows: number, columns: number): Float64Array {
  const product = new Float64Array(width * rows);
  for (let index = 0; index < width; index++) {
    for (let row = 0; row < rows; row++) {
      let sum = 0;
      for (let column = 0; column < columns; column++) sum += left[index * columns + column]! * matrix[row * columns + column]!;
      product[index * rows + row] = sum;
    }
  }
  return product;
}

/** Gram and Schmidt's method, twice, in place; rows that depend on earlier ones become zero. */
function orthonormal(vectors: Float64Array, count: number, size: number): Float64Array {
  const largest = vectors.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  for (let at = 0; at < count; at++) {
    const own = vectors.subarray(at * size, (at + 1) * size);
    for (let pass = 0; pass < 2; pass++) {
      for (let before = 0; before < at; before++) {
        const other = vectors.subarray(before * size, (before + 1) * size);
        let along = 0;
        for (let index = 0; index < size; index++) along += own[index]! * other[index]!;
        for (let index = 0; index < size; index++) own[index]! -= along * other[index]!;
      }
    }
    const length = Math.sqrt(own.reduce((sum, value) => sum + value * value, 0));
    const scale = length > 1e-13 * largest * Math.sqrt(size) ? 1 / length : 0;
    for (let index = 0; index < size; index++) own[index]! *= scale;
  }
  return vectors;
}

/** Eigenvalues and eigenvectors (columns) of a symmetric matrix, by Jacobi's rotations. */
function symmetricEigen(matrix: Float64Array, size: number): { readonly values: Float64Array; readonly vectors: Float64Array } {
  const vectors = new Float64Array(size * size);
  for (let index = 0; index < size; index++) vectors[index * size + index] = 1;
  const total = matrix.reduce((sum, value) => sum + value * value, 0);
  for (let sweep = 0; sweep < 30; sweep++) {
    let off = 0;
    for (let p = 0; p < size; p++) for (let q = p + 1; q < size; q++) off += matrix[p * size + q]! ** 2;
    if (off <= 1e-30 * total) break;
    for (let p = 0; p < size; p++) for (let q = p + 1; q < size; q++) rotate(matrix, vectors, size, p, q);
  }
  return { values: Float64Array.from({ length: size }, (_, index) => matrix[index * size + index]!), vectors };
}

function rotate(matrix: Float64Array, vectors: Float64Array, size: number, p: number, q: number): void {
  const apart = matrix[p * size + q]!;
  if (apart === 0) return;
  const theta = (matrix[q * size + q]! - matrix[p * size + p]!) / (2 * apart);
  const tangent = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const cosine = 1 / Math.sqrt(tangent * tangent + 1);
  const sine = tangent * cosine;
  for (let index = 0; index < size; index++) {
    const [left, right] = [matrix[index * size + p]!, matrix[index * size + q]!];
    matrix[index * size + p] = cosine * left - sine * right;
    matrix[index * size + q] = sine * left + cosine * right;
  }
  for (let index = 0; index < size; index++) {
    const [left, right] = [matrix[p * size + index]!, matrix[q * size + index]!];
    matrix[p * size + index] = cosine * left - sine * right;
    matrix[q * size + index] = sine * left + cosine * right;
  }
  for (let index = 0; index < size; index++) {
    const [left, right] = [vectors[index * size + p]!, vectors[index * size + q]!];
    vectors[index * size + p] = cosine * left - sine * right;
    vectors[index * size + q] = sine * left + cosine * right;
  }
}
