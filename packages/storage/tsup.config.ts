import { defineConfig } from 'tsup';
import { declarations, shared } from '../../tsup.shared.ts';

// The worker is loaded by its file name from the chunk that starts it, so it must be a file of its own beside it.
export default defineConfig({
  ...shared,
  entry: { index: 'src/index.ts', testing: 'src/testing.ts', 'hash-worker': 'src/hash-worker.ts' },
  dts: declarations(['index', 'testing']),
});
