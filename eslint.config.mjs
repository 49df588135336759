import nx from '@nx/eslint-plugin';
import * as jsoncParser from 'jsonc-eslint-parser';
import tseslint from 'typescript-eslint';

const TESTS = '{projectRoot}/src/**/*.test.ts';

/** Packages name what their sources import, and nothing else; files that are not part of what is installed do not count. */
function dependencyChecks(files, ignoredFiles, ignoredDependencies = []) {
  return {
    files,
    languageOptions: { parser: jsoncParser },
    rules: {
      '@nx/dependency-checks': [
        'error',
        { ignoredDependencies, ignoredFiles: ['{projectRoot}/{vitest,tsup}.config.ts', ...ignoredFiles] },
      ],
    },
  };
}

/**
 * Where rules find types: of each file's own project; or, where all files are checked at once (`npm test`), of one program, so that each
 * type is found once instead of once for every project that uses it.
 */
const types = process.env['ZK0_LINT'] === 'all' ? { project: ['tsconfig.lint.json', 'packages/dashboard/tsconfig.page.json'] } : { projectService: true };

export default tseslint.config(
  { ignores: ['**/dist', '**/out-tsc', '**/coverage', '**/.package', '.nx', '**/.venv'] },
  ...nx.configs['flat/base'],
  {
    files: ['**/*.ts', '**/*.tsx'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { ...types, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // Typed arrays are indexed within proven bounds in hot loops; `!` is how that is said.
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  {
    files: ['{packages,apps}/*/{src,test,page}/**/*.{ts,tsx}'],
    rules: {
      '@nx/enforce-module-boundaries': [
        'error',
        {
          enforceBuildableLibDependency: true,
          // What `imports` of a package's own package.json names: built files, or sources in this repository.
          // And how tests start a browser, which belongs to no package.
          allow: ['#page-files', '/browser\\.shared\\.ts$'],
          depConstraints: [
            {
              sourceTag: 'layer:core',
              onlyDependOnLibsWithTags: [],
              bannedExternalImports: ['onnxruntime-node', 'undici', 'fastify'],
            },
            { sourceTag: 'layer:base', onlyDependOnLibsWithTags: ['layer:core', 'scope:storage'] },
            // Domain packages never import each other: an application composes them.
            { sourceTag: 'layer:domain', onlyDependOnLibsWithTags: ['layer:core', 'layer:base'] },
            // The engine aggregates with strategies; models and transports are handed in.
            { sourceTag: 'layer:engine', onlyDependOnLibsWithTags: ['layer:core', 'layer:base', 'scope:strategy'] },
            // A place for what the engine keeps; the application loads it where it is asked for.
            { sourceTag: 'layer:backend', onlyDependOnLibsWithTags: ['layer:core', 'layer:base', 'layer:engine'] },
            // The demo world writes its recordings with the dataset package.
            { sourceTag: 'layer:demo', onlyDependOnLibsWithTags: ['layer:core', 'layer:base', 'layer:domain'] },
            // The page reads what the engine records; the transport that serves it knows its contract from core.
            { sourceTag: 'layer:page', onlyDependOnLibsWithTags: ['layer:core', 'layer:base', 'layer:engine'] },
            { sourceTag: 'layer:app', onlyDependOnLibsWithTags: ['layer:core', 'layer:base', 'layer:domain', 'layer:engine', 'layer:demo', 'layer:page', 'layer:backend'] },
            { sourceTag: 'scope:model', onlyDependOnLibsWithTags: ['layer:core', 'scope:storage', 'scope:hub', 'scope:onnx'] },
            { sourceTag: 'scope:nomodel', notDependOnLibsWithTags: ['scope:onnx'] },
          ],
        },
      ],
    },
  },
  dependencyChecks(['{packages,apps}/*/package.json'], [TESTS, '{projectRoot}/{test,bench}/**/*']),
  // Bundled into the page when the package is built: nobody who installs it needs them.
  dependencyChecks(['packages/dashboard/package.json'], [
    TESTS,
    '{projectRoot}/src/bundle/{bundle-page,from-source,write-page}.ts',
    '{projectRoot}/{page,test}/**/*',
  ]),
  // Found at run time with import.meta.resolve: the font's files, and the client that a simulation starts. Built into the package: echarts.
  dependencyChecks(['packages/charts/package.json', 'apps/server/package.json'], [TESTS, '{projectRoot}/{test,bench}/**/*'], [
    '@expo-google-fonts/arimo',
    '@zk0/client',
    'echarts',
  ]),
);
