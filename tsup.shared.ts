import type { Options } from 'tsup';

/** What every package's `tsup.config.ts` builds on: one ESM entry with types. */
export const shared: Options = {
  entry: ['src/index.ts'],
  format: ['esm'],
  target: 'node22',
  platform: 'node',
  tsconfig: 'tsconfig.lib.json',
  // Types against the built types of other packages, which are there by then, and not their sources all over again.
  dts: { compilerOptions: { customConditions: [] } },
  sourcemap: true,
  clean: true,
  // `node:sqlite` exists under its full name only.
  removeNodeProtocol: false,
};
