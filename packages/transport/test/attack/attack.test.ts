import { expect, it } from 'vitest';
import { attack } from './run.ts';

/** The long run is `npx nx attack transport`. */
it('nothing of a thousand attacks gets through, and the honest client is served', async () => {
  const report = await attack(1000, 11);
  expect(report.accepted.map(({ kind, bytes }) => [kind, bytes.toString('latin1')])).toEqual([]);
  expect(report.foreignCalls).toBe(0);
  expect(report.defects).toEqual([]);
  expect(report.honestAnswered).toBe(report.honest);
  expect(Object.keys(report.kinds)).toHaveLength(9);
});
