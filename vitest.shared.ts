import { defaultServerConditions } from 'vite';
import type { ViteUserConfig } from 'vitest/config';

/** Resolve workspace packages to their TypeScript source, so tests need no build. */
const conditions = ['@zk0/source', ...defaultServerConditions];

/** What every package's `vitest.config.ts` builds on. */
export const shared = {
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    environment: 'node',
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    watch: false,
    restoreMocks: true,
    testTimeout: 20_000,
  },
} satisfies ViteUserConfig;
