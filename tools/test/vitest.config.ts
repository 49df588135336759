import { defineConfig } from 'vitest/config';
import { needsBuild } from '../../vitest.shared.ts';

/** Tests of the repository as a whole: its packages as others install them, its scripts, its documents. */
export default defineConfig({
  root: import.meta.dirname,
  test: {
    name: 'repository',
    environment: 'node',
    include: process.env['ZK0_TESTS'] === 'unit' ? [] : ['*.test.ts'],
    passWithNoTests: true,
    ...needsBuild,
    watch: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
