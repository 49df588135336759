import { describe, expect, it } from 'vitest';
import { parseRetryAfter } from './retry.ts';

describe('Retry-After', () => {
  it('is seconds or a date, never negative', () => {
    const now = Date.UTC(2026, 0, 31, 12);
    expect(parseRetryAfter('0', now)).toBe(0);
    expect(parseRetryAfter('120', now)).toBe(120_000);
    expect(parseRetryAfter('Sat, 31 Jan 2026 12:00:30 GMT', now)).toBe(30_000);
    expect(parseRetryAfter('Sat, 31 Jan 2026 11:00:00 GMT', now)).toBe(0);
    expect(parseRetryAfter(undefined, now)).toBeNull();
    expect(parseRetryAfter('soon', now)).toBeNull();
    expect(parseRetryAfter('-5', now) ?? 0).toBe(0);
  });
});
