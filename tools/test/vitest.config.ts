import { defineConfig } from 'vitest/config';

/** Tests of the workspace as a whole: its packages as others install them, its scripts, its documents. */
export default defineConfig({
  root: import.meta.dirname,
  test: {
    name: 'workspace',
    environment: 'node',
    include: ['*.test.ts'],
    globalSetup: '../setup/build-before-tests.ts',
    watch: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
