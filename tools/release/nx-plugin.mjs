/**
 * Gives every published package two targets: `stage` writes it as it is published (`.package` in its folder), `lint-package` checks that
 * with publint and, where it has types, with Are the Types Wrong.
 *
 * Plain JavaScript, because Nx loads it with whatever Node runs Nx.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** @type {import('@nx/devkit').CreateNodesV2} */
export const createNodesV2 = [
  '{packages,apps}/*/package.json',
  (files, _options, { workspaceRoot }) =>
    files.map((file) => {
      const manifest = JSON.parse(readFileSync(join(workspaceRoot, file), 'utf8'));
      const root = dirname(file);
      return [file, manifest.private === true ? {} : { projects: { [root]: { targets: targetsOf(root, manifest) } } }];
    }),
];

/**
 * @param {string} root of the project, relative to the workspace
 * @param {{ exports?: Record<string, { types?: string }> }} manifest
 */
function targetsOf(root, manifest) {
  const hasTypes = manifest.exports?.['.']?.types !== undefined;
  const lint = [`publint run ${root}/.package --strict`, ...(hasTypes ? [`attw --pack ${root}/.package --profile esm-only --no-emoji`] : [])];
  const tools = ['publint', ...(hasTypes ? ['@arethetypeswrong/cli'] : [])];
  return {
    stage: {
      command: `node tools/release/stage-packages.ts ${root}`,
      dependsOn: ['build'],
      cache: true,
      inputs: ['production', '^production', '{workspaceRoot}/tools/release/**/*', '{workspaceRoot}/LICENSE', { externalDependencies: ['onnxruntime-node'] }],
      outputs: ['{projectRoot}/.package'],
    },
    'lint-package': {
      executor: 'nx:run-commands',
      options: { commands: lint, parallel: false },
      dependsOn: ['stage'],
      cache: true,
      inputs: ['production', '^production', '{workspaceRoot}/tools/release/**/*', { externalDependencies: tools }],
      outputs: [],
    },
  };
}
