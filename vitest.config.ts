import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: ['packages/*/vitest.config.ts', 'apps/*/vitest.config.ts', 'tools/test/vitest.config.ts'],
    watch: false,
    // Files wait for processes they start and for disks: on two cores, three at once end sooner than two.
    maxWorkers: Math.max(3, availableParallelism() - 1),
    coverage: {
      provider: 'v8',
      // The first for files that no test loads, which are looked for from the folder of each project: programs alone run most of the commands.
      include: ['src/**/*.ts', 'packages/*/src/**/*.ts', 'apps/*/src/**/*.ts'],
      exclude: ['**/*.test.ts'],
      reporter: ['text-summary', 'json-summary', 'json'],
      reportOnFailure: true,
      // tools/setup/checks.mjs has the threshold: it counts the programs, too, that tests start.
    },
  },
});
