import { InvalidArgumentError } from '@zk0/core';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { combineShares, MAX_SHARES, splitSecret } from './index.ts';

const secrets = fc.uint8Array({ minLength: 1, maxLength: 40 });
const counts = fc.integer({ min: 1, max: 40 }).chain((count) => fc.tuple(fc.constant(count), fc.integer({ min: 1, max: count })));

it('any shares that are enough give the secret, in any order', () => {
  fc.assert(
    fc.property(secrets, counts, fc.infiniteStream(fc.nat()), (secret, [count, threshold], order) => {
      const shares = splitSecret(secret, count, threshold);
      const chosen = shares.map((share) => [order.next().value as number, share] as const).sort(([a], [b]) => a - b).map(([, share]) => share);
      expect([...combineShares(chosen.slice(0, threshold))]).toEqual([...secret]);
      expect([...combineShares(chosen)]).toEqual([...secret]);
    }),
    { numRuns: 200 },
  );
});

it('one share less says nothing: with it, every value of the secret is as possible as any other', () => {
  // Of a secret of one byte, two of three shares are known. For each value of the third, exactly one secret fits.
  const [first, second, third] = splitSecret(Uint8Array.of(42), 3, 3);
  const fitting = Array.from({ length: 256 }, (_, value) => combineShares([first!, second!, { point: third!.point, bytes: Uint8Array.of(value) }])[0]);
  expect(new Set(fitting).size).toBe(256);
});

it('follows the polynomial over the field of AES: known products', () => {
  // 0x53 · 0xca = 1 in this field. f(x) = 0xca·x + 0x01, so that f(0x53) = 1 ^ 1 = 0.
  const shares = splitSecret(Uint8Array.of(1), 0x53, 2, () => Uint8Array.of(0xca));
  expect(shares.at(-1)).toEqual({ point: 0x53, bytes: Uint8Array.of(0) });
  // 2 · 0xca = 0x94 ^ 0x1b = 0x8f.
  expect(shares[1]).toEqual({ point: 2, bytes: Uint8Array.of(0x8e) });
});

it('refuses what cannot be meant', () => {
  const one = Uint8Array.of(1);
  for (const [count, threshold] of [[MAX_SHARES + 1, 2], [2, 3], [0, 0], [3, 1.5]] as const) expect(() => splitSecret(one, count, threshold)).toThrow(InvalidArgumentError);
  expect(() => combineShares([])).toThrow('no shares');
  expect(() => combineShares([{ point: 1, bytes: one }, { point: 1, bytes: one }])).toThrow('each must be another one');
  expect(() => combineShares([{ point: 0, bytes: one }])).toThrow('each must be another one');
  expect(() => combineShares([{ point: 1, bytes: one }, { point: 2, bytes: Uint8Array.of(1, 2) }])).toThrow('different lengths');
});
