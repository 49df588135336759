import { setImmediate as breathe } from 'node:timers/promises';
import { CODE_BITS, LEVELS } from './container.ts';

/** Times that a direction is improved before it is rounded. */
const ITERATIONS = 2;

/** `Σₖ gainₖ · leftₖ · rightₖᵀ`: what a matrix has in common over its rows and columns, in whole numbers and a factor for each component. */
export interface LowRank {
  readonly rows: number;
  readonly columns: number;
  /** One for each component. */
  readonly gains: Float32Array;
  /** For each component its `rows` codes of the left factor, then its `columns` codes of the right one; −7 to 7. */
  readonly codes: Int8Array;
}

/**
 * Takes away what a few components describe in fewer bits than the coarse codes of all values would.
 *
 * Components are found one after the other, each in what the ones before it leave: power iteration from the row with the largest norm, the left
 * direction rounded to codes, then the right one that fits them best rounded, then the gain that fits both best, as float32. No component
 * makes the sum of squares larger. It ends with the first one that takes less than a value's mean square for each of its bits. (PowerSGD, arXiv
 * 1905.13727, sends such components and nothing else; their number is given there.)
 *
 * @param values of the matrix, row by row, finite; what is left over is in their place afterwards.
 * @param maxRank components at most; with 0 the values are not looked at.
 */
export async function takeLowRank(values: Float32Array, { rows, columns }: Pick<LowRank, 'rows' | 'columns'>, maxRank: number): Promise<LowRank> {
  if (maxRank === 0) return { rows, columns, gains: new Float32Array(), codes: new Int8Array() };
  const gains: number[] = [];
  const codes: Int8Array[] = [];
  const [left, right] = [new Float64Array(rows), new Float64Array(columns)];
  const [leftCodes, rightCodes] = [new Int8Array(rows), new Int8Array(columns)];
  const bits = CODE_BITS * (rows + columns);
  let { squares, largest } = subtract(values, leftCodes, right);
  while (gains.length < maxRank && squares > 0) {
    right.set(values.subarray(largest * columns, (largest + 1) * columns));
    for (let iteration = 0; iteration < ITERATIONS; iteration++) {
      if (iteration > 0) timesTransposed(values, left, right);
      normalise(right);
      times(values, right, left);
    }
    const leftSquares = roundToCodes(left, leftCodes);
    timesTransposed(values, Float64Array.from(leftCodes), right);
    const rightSquares = roundToCodes(right, rightCodes);
    const gain = Math.fround(dot(right, rightCodes) / (leftSquares * rightSquares));
    const taken = gain * gain * leftSquares * rightSquares;
    // Written so that it ends with what is not a number, too: codes are all 0, or squares have vanished.
    if (!(taken > 0 && taken >= (bits * squares) / values.length)) break;
    ({ squares, largest } = subtract(values, leftCodes, Float64Array.from(rightCodes, (code) => gain * code)));
    gains.push(gain);
    codes.push(leftCodes.slice(), rightCodes.slice());
    // Other work of this process goes on in between.
    await breathe();
  }
  const joined = new Int8Array(gains.length * (rows + columns));
  let end = 0;
  for (const one of codes) {
    joined.set(one, end);
    end += one.length;
  }
  return { rows, columns, gains: Float32Array.from(gains), codes: joined };
}

/** Components that are added in one pass, so that a sum is not written and read again for each of them. */
const GROUP = 4;

/** Reads a {@link LowRank} by ranges of its values. */
export class LowRankReader {
  readonly #part: LowRank;
  /** The right factors, up to a whole number of groups. As float64 they would be a tenth faster, and eight times as large. */
  readonly #right: readonly Int8Array[];

  constructor(part: LowRank) {
    const { rows, columns, gains, codes } = part;
    this.#part = part;
    const groups = Math.ceil(gains.length / GROUP);
    this.#right = Array.from({ length: GROUP * groups }, (_, k) =>
      k < gains.length ? codes.subarray(k * (rows + columns) + rows, (k + 1) * (rows + columns)) : new Int8Array(columns),
    );
  }

  /**
   * The values from position `first` on. Products are exact in float64, sums are float64 from the first component to the last, so that every machine
   * gets the same.
   */
  read(first: number, into: Float64Array): void {
    const { columns } = this.#part;
    into.fill(0);
    if (this.#right.length === 0) return;
    for (let done = 0; done < into.length;) {
      const row = Math.floor((first + done) / columns);
      const column = first + done - row * columns;
      const length = Math.min(columns - column, into.length - done);
      for (let k = 0; k < this.#right.length; k += GROUP) this.#addGroup(k, row, column, into.subarray(done, done + length));
      done += length;
    }
  }

  #addGroup(k: number, row: number, column: number, into: Float64Array): void {
    const [a, b, c, d] = [this.#factor(k, row), this.#factor(k + 1, row), this.#factor(k + 2, row), this.#factor(k + 3, row)];
    // What a few rows have of their own is no part of the others.
    if (a === 0 && b === 0 && c === 0 && d === 0) return;
    const [first, second, third, fourth] = [this.#right[k]!, this.#right[k + 1]!, this.#right[k + 2]!, this.#right[k + 3]!];
    for (let index = 0, at = column; index < into.length; index++, at++) {
      into[index] = into[index]! + a * first[at]! + b * second[at]! + c * third[at]! + d * fourth[at]!;
    }
  }

  /** What a row's values have of a component's right factor. */
  #factor(k: number, row: number): number {
    const { rows, columns, gains, codes } = this.#part;
    return k < gains.length ? gains[k]! * codes[k * (rows + columns) + row]! : 0;
  }
}

/** The sum of all squares, and the row with the most of it. */
interface RowSquares {
  readonly squares: number;
  readonly largest: number;
}

/** Takes a component away, of which `right` has the gain in it; all zeros take nothing away. */
function subtract(values: Float32Array, left: Int8Array, right: Float64Array): RowSquares {
  const columns = right.length;
  const whole = columns - (columns % 4);
  let [squares, most, largest] = [0, -1, 0];
  for (let row = 0, begin = 0; row < left.length; row++, begin += columns) {
    const factor = left[row]!;
    // Four sums, so that no addition has to wait for the one before it.
    let [a, b, c, d] = [0, 0, 0, 0];
    for (let column = 0, at = begin; column < whole; column += 4, at += 4) {
      const first = (values[at]! -= factor * right[column]!);
      const second = (values[at + 1]! -= factor * right[column + 1]!);
      const third = (values[at + 2]! -= factor * right[column + 2]!);
      const fourth = (values[at + 3]! -= factor * right[column + 3]!);
      a += first * first;
      b += second * second;
      c += third * third;
      d += fourth * fourth;
    }
    for (let column = whole; column < columns; column++) {
      const value = (values[begin + column]! -= factor * right[column]!);
      a += value * value;
    }
    const sum = a + b + (c + d);
    if (sum > most) [most, largest] = [sum, row];
    squares += sum;
  }
  return { squares, largest };
}

/** `into = matrix · vector`. */
function times(values: Float32Array, vector: Float64Array, into: Float64Array): void {
  const columns = vector.length;
  const whole = columns - (columns % 4);
  for (let row = 0, begin = 0; row < into.length; row++, begin += columns) {
    // Four sums, so that no addition has to wait for the one before it.
    let [a, b, c, d] = [0, 0, 0, 0];
    for (let column = 0; column < whole; column += 4) {
      const at = begin + column;
      a += values[at]! * vector[column]!;
      b += values[at + 1]! * vector[column + 1]!;
      c += values[at + 2]! * vector[column + 2]!;
      d += values[at + 3]! * vector[column + 3]!;
    }
    for (let column = whole; column < columns; column++) a += values[begin + column]! * vector[column]!;
    into[row] = a + b + (c + d);
  }
}

/** `into = matrixᵀ · vector`. */
function timesTransposed(values: Float32Array, vector: Float64Array, into: Float64Array): void {
  const columns = into.length;
  const whole = vector.length - (vector.length % 4);
  into.fill(0);
  // Four rows at a time, so that a sum is not written and read again for each of them.
  for (let row = 0; row < whole; row += 4) {
    const [a, b, c, d] = [vector[row]!, vector[row + 1]!, vector[row + 2]!, vector[row + 3]!];
    const [first, second, third, fourth] = [0, 1, 2, 3].map((next) => values.subarray((row + next) * columns, (row + next + 1) * columns)) as [Float32Array, Float32Array, Float32Array, Float32Array];
    for (let column = 0; column < columns; column++) {
      into[column]! += a * first[column]! + b * second[column]! + (c * third[column]! + d * fourth[column]!);
    }
  }
  for (let row = whole; row < vector.length; row++) {
    for (let column = 0; column < columns; column++) into[column]! += vector[row]! * values[row * columns + column]!;
  }
}

/** To a largest magnitude of 1, so that no product grows beyond float64. */
function normalise(vector: Float64Array): void {
  const max = largestMagnitude(vector);
  if (max > 0) for (let index = 0; index < vector.length; index++) vector[index]! /= max;
}

/** Codes by the largest magnitude. @returns the sum of their squares. */
function roundToCodes(vector: Float64Array, codes: Int8Array): number {
  const max = largestMagnitude(vector);
  let squares = 0;
  for (let index = 0; index < vector.length; index++) {
    const code = max > 0 ? Math.round((LEVELS.factors * vector[index]!) / max) : 0;
    codes[index] = code;
    squares += code * code;
  }
  return squares;
}

function largestMagnitude(vector: Float64Array): number {
  let max = 0;
  for (const value of vector) if (Math.abs(value) > max) max = Math.abs(value);
  return max;
}

function dot(vector: Float64Array, codes: Int8Array): number {
  let sum = 0;
  for (let index = 0; index < vector.length; index++) sum += vector[index]! * codes[index]!;
  return sum;
}
