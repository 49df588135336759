import type { Options } from 'tsup';

type DtsConfig = Extract<NonNullable<Options['dts']>, object>;

/**
 * The types of entries, put together from what `tsc -b` has written: the build script runs it first, and it does nothing where all is checked already.
 *
 * @param sources names of the entries' files below `src/`, without extension; or what the built file is called → the name.
 */
export function declarations(sources: readonly string[] | Readonly<Record<string, string>>): DtsConfig {
  const entries = Array.isArray(sources) ? sources.map((name: string) => [name, name] as const) : Object.entries(sources as Readonly<Record<string, string>>);
  return {
    entry: Object.fromEntries(entries.map(([name, source]) => [name, `out-tsc/lib/${source}.d.ts`])),
    // Against the built types of other packages, which are there by then.
    compilerOptions: { customConditions: [] },
  };
}

/** What every package's `tsup.config.ts` builds on: one ESM entry with types. */
export const shared: Options = {
  entry: ['src/index.ts'],
  format: ['esm'],
  target: 'node22',
  platform: 'node',
  tsconfig: 'tsconfig.lib.json',
  dts: declarations(['index']),
  sourcemap: true,
  clean: true,
  // `node:sqlite` exists under its full name only.
  removeNodeProtocol: false,
};
