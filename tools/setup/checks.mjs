import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { interruption, run } from './process.mjs';

const REPORT = '.vitest.json';

/**
 * Everything that must hold before a change is merged, one phase after the other. A failed phase does not stop the later
 * ones: one run shows all that is wrong.
 *
 * The last line is `N passed, N failed`: tests, and a failed phase other than a failed test counts as one more failure.
 *
 * @param {{ root: string, node: string, env: NodeJS.ProcessEnv, args: readonly string[] }} context
 *   `args` go to vitest, and then only the tests run
 * @returns {Promise<number>} the exit code
 */
export async function runChecks({ root, node, env, args }) {
  const tool = (/** @type {string} */ name) => join(root, 'node_modules', ...name.split('/'));
  const vitest = [tool('vitest/vitest.mjs'), 'run', '--reporter=default', '--reporter=json', `--outputFile=${REPORT}`];
  const all = [
    { name: 'project references', command: [tool('nx/dist/bin/nx.js'), 'sync:check'] },
    { name: 'types', command: [tool('typescript/bin/tsc'), '-b'] },
    { name: 'lint', command: [tool('eslint/bin/eslint.js'), '.'] },
    { name: 'build', command: [tool('nx/dist/bin/nx.js'), 'run-many', '-t', 'build', '--output-style=static'] },
    { name: 'tests', command: [...vitest, '--coverage'] },
  ];
  const phases = args.length === 0 ? all : [{ name: 'tests', command: [...vitest, ...args] }];

  rmSync(join(root, REPORT), { force: true });
  const results = [];
  for (const { name, command } of phases) {
    if (interruption() !== undefined) break;
    console.log(`\n── ${name} ──`);
    const started = Date.now();
    const code = await run(node, command, { cwd: root, env: { ...env, CI: 'true' } });
    results.push({ name, code, seconds: (Date.now() - started) / 1000 });
  }

  const tests = countTests(join(root, REPORT));
  console.log();
  for (const { name, code, seconds } of results) {
    console.log(`${code === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds.toFixed(1)} s)`);
  }
  const broken = results.filter(({ name, code }) => code !== 0 && !(name === 'tests' && tests.failed > 0)).length;
  const skipped = phases.length - results.length;
  console.log(`${tests.passed} passed, ${tests.failed + broken + skipped} failed`);
  return interruption() ?? (results.every(({ code }) => code === 0) && skipped === 0 ? 0 : 1);
}

/**
 * @param {string} report vitest's JSON report; absent when vitest did not get so far
 */
function countTests(report) {
  try {
    const { numPassedTests, numFailedTests, numFailedTestSuites } = JSON.parse(readFileSync(report, 'utf8'));
    // A file that does not even load has no tests to fail.
    return { passed: numPassedTests, failed: Math.max(numFailedTests, Math.min(1, numFailedTestSuites)) };
  } catch {
    return { passed: 0, failed: 0 };
  }
}
