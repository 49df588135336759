import { randomBytes } from 'node:crypto';
import { InvalidArgumentError } from '@zk0/core';

/** Shares of one secret are at most so many: the points of GF(2⁸) other than 0, where the secret lies. */
export const MAX_SHARES = 255;

/** One point of the polynomials that hide a secret, one polynomial for each of its bytes. */
export interface Share {
  /** Where the polynomials were evaluated: 1 to {@link MAX_SHARES}. */
  readonly point: number;
  /** Their values, as many bytes as the secret has. */
  readonly bytes: Uint8Array;
}

/** Powers of the generator 3 of GF(2⁸) modulo x⁸ + x⁴ + x³ + x + 1, twice over so that sums of two logarithms need no modulo. */
const POWERS = new Uint8Array(510);
const LOGARITHMS = new Uint8Array(256);
for (let exponent = 0, value = 1; exponent < 255; exponent++) {
  POWERS[exponent] = value;
  POWERS[exponent + 255] = value;
  LOGARITHMS[value] = exponent;
  value ^= value << 1;
  if (value > 255) value ^= 0x11b;
}

/**
 * Shamir's secret sharing (1979), byte by byte over GF(2⁸): any `threshold` of the shares give the secret, and fewer say nothing at all
 * about it.
 *
 * @param count shares to make, at the points 1 to `count`.
 * @param random as many random bytes as asked for; the system's unless given.
 * @throws InvalidArgumentError unless 1 ≤ threshold ≤ count ≤ {@link MAX_SHARES}.
 */
export function splitSecret(secret: Uint8Array, count: number, threshold: number, random: (size: number) => Uint8Array = randomBytes): Share[] {
  if (!(Number.isInteger(threshold) && Number.isInteger(count) && threshold >= 1 && threshold <= count && count <= MAX_SHARES)) {
    throw new InvalidArgumentError(`${count} shares of which ${threshold} give the secret: at most ${MAX_SHARES} can be made, and no more can be needed than there are`);
  }
  // Highest coefficient first, the secret itself last.
  const coefficients = [...Array.from({ length: threshold - 1 }, () => random(secret.length)), secret];
  return Array.from({ length: count }, (_, index) => {
    const point = index + 1;
    const bytes = new Uint8Array(secret.length);
    for (const coefficient of coefficients) {
      for (let at = 0; at < bytes.length; at++) bytes[at] = multiply(bytes[at]!, point) ^ coefficient[at]!;
    }
    return { point, bytes };
  });
}

/**
 * The secret that shares are of, by Lagrange's interpolation at 0. Too few or wrong shares give another secret, not an error: the caller
 * knows how to tell.
 *
 * @throws InvalidArgumentError when there is none, two are of one point, or lengths differ.
 */
export function combineShares(shares: readonly Share[]): Uint8Array {
  const [first] = shares;
  if (first === undefined) throw new InvalidArgumentError('no shares, and so no secret');
  const points = new Set(shares.map(({ point }) => point));
  if (points.size !== shares.length || [...points].some((point) => !Number.isInteger(point) || point < 1 || point > MAX_SHARES)) {
    throw new InvalidArgumentError(`shares of the points ${shares.map(({ point }) => point).join(', ')}: each must be another one from 1 to ${MAX_SHARES}`);
  }
  const secret = new Uint8Array(first.bytes.length);
  for (const { point, bytes } of shares) {
    if (bytes.length !== secret.length) throw new InvalidArgumentError('shares of different lengths are not of one secret');
    let factor = 1;
    for (const other of points) {
      if (other !== point) factor = multiply(factor, divide(other, other ^ point));
    }
    for (let at = 0; at < secret.length; at++) secret[at] = secret[at]! ^ multiply(bytes[at]!, factor);
  }
  return secret;
}

function multiply(a: number, b: number): number {
  return a === 0 || b === 0 ? 0 : POWERS[LOGARITHMS[a]! + LOGARITHMS[b]!]!;
}

/** `b` is not 0. */
function divide(a: number, b: number): number {
  return a === 0 ? 0 : POWERS[LOGARITHMS[a]! + 255 - LOGARITHMS[b]!]!;
}
