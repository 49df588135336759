import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const BUILT = 'ZK0_TEST_BUILT';
const GENERATED = 'ZK0_TEST_GENERATED';

/**
 * Vitest's global set-up for tests that start the programs, or install the packages, as people have them: built. Before any test,
 * because building replaces what a running test may be reading; once, though several projects ask for it.
 */
export function setup(): (() => void) | undefined {
  const remove = shareGenerated();
  if (process.env[BUILT] === '1') return remove;
  const nx = `${root}/node_modules/nx/dist/bin/nx.js`;
  try {
    execFileSync(process.execPath, [nx, 'run-many', '-t', 'build', '--output-style=static'], { cwd: root, encoding: 'utf8', stdio: 'pipe' });
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(`the build that these tests start failed:\n${stdout}${stderr}`, { cause: error });
  }
  process.env[BUILT] = '1';
  return remove;
}

/**
 * A folder for demo datasets and presets, which all tests of one run share: each is made from a seed, once, by whichever program
 * asks first.
 */
function shareGenerated(): (() => void) | undefined {
  if (process.env[GENERATED] !== undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'zk0-generated-'));
  for (const name of ['demo', 'presets']) mkdirSync(join(folder, name));
  process.env[GENERATED] = folder;
  return () => {
    rmSync(folder, { recursive: true, force: true });
  };
}
