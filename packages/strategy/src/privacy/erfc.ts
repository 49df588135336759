/** Natural logarithm of the complementary error function, to about 13 digits, without underflow for large `x`. */
export function logErfc(x: number): number {
  return x < 3 ? Math.log(1 - erf(x)) : -x * x - Math.log(x * Math.sqrt(Math.PI)) - Math.log(continuedFraction(x));
}

/** Maclaurin series in the form whose terms all have one sign (Abramowitz & Stegun 7.1.6). */
function erf(x: number): number {
  if (x < -6) return -1;
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > Math.abs(sum) * 1e-17; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** `1 + 1v/(1 + 2v/(1 + 3v/(1 + …)))` with v = 1/(2x²) (Abramowitz & Stegun 7.1.14), from a depth that suffices for x ≥ 3. */
function continuedFraction(x: number): number {
  const v = 1 / (2 * x * x);
  let value = 1;
  for (let depth = 80; depth >= 1; depth--) value = 1 + (depth * v) / value;
  return value;
}
