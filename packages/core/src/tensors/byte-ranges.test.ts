import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { claimRange, coversAll, type ByteRanges } from './byte-ranges.ts';

describe('claimRange', () => {
  it('agrees with a set of bytes, whatever the order of the claims', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat({ max: 20 }), fc.nat({ max: 8 })), { maxLength: 30 }), (claims) => {
        const ranges: ByteRanges = [];
        const taken = new Set<number>();
        for (const [begin, length] of claims) {
          const bytes = Array.from({ length }, (_, index) => begin + index);
          const free = bytes.every((byte) => !taken.has(byte));
          expect(claimRange(ranges, begin, begin + length)).toBe(free);
          if (free) for (const byte of bytes) taken.add(byte);
          expect(ranges.reduce((sum, [from, to]) => sum + to - from, 0)).toBe(taken.size);
        }
        for (let size = 1; size < 30; size++) {
          expect(coversAll(ranges, size)).toBe(taken.size === size && [...taken].every((byte) => byte < size));
        }
      }),
    );
  });
});
