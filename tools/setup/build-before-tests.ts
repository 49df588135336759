import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const BUILT = 'ZK0_TEST_BUILT';

/**
 * Vitest's global set-up for tests that start the programs, or install the packages, as people have them: built. Before any test,
 * because building replaces what a running test may be reading; once, though several projects ask for it.
 */
export function setup(): void {
  if (process.env[BUILT] === '1') return;
  const nx = `${root}/node_modules/nx/dist/bin/nx.js`;
  try {
    execFileSync(process.execPath, [nx, 'run-many', '-t', 'build', '--output-style=static'], { cwd: root, encoding: 'utf8', stdio: 'pipe' });
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(`the build that these tests start failed:\n${stdout}${stderr}`, { cause: error });
  }
  process.env[BUILT] = '1';
}
