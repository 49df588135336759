/**
 * `into += Σ coefficient · values` in float64, in the order given. Four arrays a pass: each load and store of the
 * accumulator then serves four of them.
 */
export function accumulate(
  into: Float64Array,
  arrays: readonly Float32Array[],
  coefficients: readonly number[],
  length: number,
): void {
  let index = 0;
  for (; index + 4 <= arrays.length; index += 4) {
    accumulateFour(
      into,
      arrays[index]!,
      arrays[index + 1]!,
      arrays[index + 2]!,
      arrays[index + 3]!,
      coefficients[index]!,
      coefficients[index + 1]!,
      coefficients[index + 2]!,
      coefficients[index + 3]!,
      length,
    );
  }
  for (; index < arrays.length; index++) accumulateOne(into, arrays[index]!, coefficients[index]!, length);
}

function accumulateOne(into: Float64Array, values: Float32Array, coefficient: number, length: number): void {
  for (let index = 0; index < length; index++) into[index]! += coefficient * values[index]!;
}

function accumulateFour(
  into: Float64Array,
  a: Float32Array,
  b: Float32Array,
  c: Float32Array,
  d: Float32Array,
  ca: number,
  cb: number,
  cc: number,
  cd: number,
  length: number,
): void {
  for (let index = 0; index < length; index++) {
    into[index] = into[index]! + ca * a[index]! + cb * b[index]! + cc * c[index]! + cd * d[index]!;
  }
}
