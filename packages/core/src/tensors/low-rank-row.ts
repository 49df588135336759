/**
 * Row `at` of the product `b · a` of factors of low rank, summed in float64.
 *
 * @param a - [rank, columns]
 * @param b - [rows, rank]
 * @param into - [columns]; what was in it is gone
 * @returns `into`
 */
export function lowRankRow(a: Float32Array, b: Float32Array, rank: number, at: number, into: Float64Array): Float64Array {
  into.fill(0);
  for (let factor = 0; factor < rank; factor++) {
    const weight = b[at * rank + factor]!;
    const from = factor * into.length;
    for (let column = 0; column < into.length; column++) into[column]! += weight * a[from + column]!;
  }
  return into;
}
