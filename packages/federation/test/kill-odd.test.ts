import { it } from 'vitest';
import { expectKillsChangeNothing } from './killed-federation.ts';

// Half of the events each, in two files: test files run side by side.
it('a server that is killed after any event of an odd number goes on to the very same bytes, and counts nothing twice', { timeout: 300_000 }, async () => {
  await expectKillsChangeNothing(1, 2);
});
