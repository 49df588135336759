import { expect, it } from 'vitest';
import { connectionsThatFit } from './open-files.ts';

it.each([
  [20_000, 'unlimited' as const, 20_000],
  [20_000, null, 20_000],
  [20_000, 1_048_576, 20_000],
  [20_000, 20_000, 19_500],
  [20_000, 1024, 524],
  [20_000, 100, 1],
])('of %i connections, under a limit of %s open files, %i fit', (most, limit, fit) => {
  expect(connectionsThatFit(most, limit)).toBe(fit);
});

it.skipIf(process.platform === 'win32')('the limit of this process is read', () => {
  expect(connectionsThatFit(Number.MAX_SAFE_INTEGER)).toBeGreaterThan(1);
});
