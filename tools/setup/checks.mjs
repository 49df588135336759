import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { lineCoverage, linesOfProcesses } from './child-coverage.mjs';
import { incidentLines, OUTCOME_FILE, readOutcome } from './outcome.mjs';
import { interruption, run } from './process.mjs';

/** Type checkers make millions of small objects that stay: with room for the young ones, V8 copies them less. */
const YOUNG = '--max-semi-space-size=128';

/**
 * @typedef {object} Phase
 * @property {string} name
 * @property {readonly string[]} command arguments of Node
 * @property {NodeJS.ProcessEnv} [env] in addition to the environment of all phases
 *
 * @typedef {object} Result
 * @property {string} name
 * @property {number} code the exit code
 * @property {number} seconds
 */

/** What of all lines has to run at least, in percent. */
const MIN_COVERAGE = 90;

/**
 * The checks, one phase after the other. A failed phase does not stop the later ones: one run shows all that is wrong. Lint,
 * which uses one core, runs beside the phases after the first.
 *
 * Coverage is not among them: counting it more than doubles the time of tests that compute (`npm run test:coverage`).
 *
 * The last line is `N passed, N failed`: tests, and a failed phase other than a failed test counts as one more failure. The
 * lines before it name the tests that failed, and those that passed on a second try only.
 *
 * @param {{ root: string, node: string, env: NodeJS.ProcessEnv, args: readonly string[], quick?: boolean }} context
 *   `args` go to vitest, and then only the tests run; `quick` leaves out the build and every test that is not beside its source
 * @returns {Promise<number>} the exit code
 */
export async function runChecks({ root, node, env, args, quick = false }) {
  const { references, types, lint, build, tests } = phasesOf(root, args, quick);
  const alone = args.length > 0;
  const phases = alone ? [tests] : [references, types, ...(quick ? [] : [build]), lint, tests];
  const check = (/** @type {Phase} */ { name, command, env: more }, /** @type {((output: string) => void) | undefined} */ keep) =>
    timed(name, () => run(node, command, { cwd: root, env: { ...env, ...more, ...(counted && { ZK0_TEST_COVERAGE: processes, NODE_DISABLE_COMPILE_CACHE: '1' }), CI: 'true' } }, keep));
  rmSync(join(root, OUTCOME_FILE), { force: true });
  const counted = args.some((arg) => /^--coverage(?:$|=true$|\.)/.test(arg));
  const processes = join(root, '.nx', 'coverage-of-processes');
  rmSync(processes, { recursive: true, force: true });
  /** @type {Result[]} */
  const results = [];
  const follow = async (/** @type {readonly Phase[]} */ some) => {
    for (const phase of some) {
      if (interruption() !== undefined) return;
      console.log(heading(phase));
      results.push(await check(phase, undefined));
    }
  };
  if (!alone) {
    // Lint reads the graph of projects that the first phase leaves behind.
    await follow([references]);
    let printed = '';
    const linted = check(lint, (output) => (printed += output));
    await follow(quick ? [types, tests] : [types, build, tests]);
    results.push(await linted);
    console.log(`${heading(lint)}\n${printed.trimEnd()}`);
  } else {
    await follow([tests]);
  }

  // Those that an interruption kept from starting.
  const skipped = phases.length - results.length;
  if (counted) {
    const percent = printCoverage(root, processes);
    // Some of the tests alone cover what they cover.
    const isWhole = args.every((arg) => arg.startsWith('--coverage'));
    if (isWhole) results.push({ name: `coverage of lines, at least ${MIN_COVERAGE} %`, code: percent >= MIN_COVERAGE ? 0 : 1, seconds: 0 });
  }
  const outcome = readOutcome(join(root, OUTCOME_FILE));
  console.log();
  for (const { name, code, seconds } of results) {
    console.log(`${code === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds.toFixed(1)} s)`);
  }
  for (const line of incidentLines(outcome, process.stdout.columns)) console.log(line);
  const broken = results.filter(({ name, code }) => code !== 0 && !(name === tests.name && outcome.failed > 0)).length;
  console.log(`${outcome.passed} passed, ${outcome.failed + broken + skipped} failed`);
  return interruption() ?? (results.every(({ code }) => code === 0) && skipped === 0 ? 0 : 1);
}

/**
 * @param {string} root
 * @param {readonly string[]} args
 * @param {boolean} quick
 * @returns {Record<'references' | 'types' | 'lint' | 'build' | 'tests', Phase>}
 */
function phasesOf(root, args, quick) {
  const tool = (/** @type {string} */ name) => join(root, 'node_modules', ...name.split('/'));
  const reporters = ['default', 'json', './tools/setup/outcome-reporter.mjs'].map((reporter) => `--reporter=${reporter}`);
  // A test that fails once and then passes is named at the end of the log; it does not stop a change.
  const vitest = [tool('vitest/vitest.mjs'), 'run', ...reporters, '--outputFile=.vitest.json', '--retry=1'];
  return {
    references: { name: 'project references', command: [tool('nx/dist/bin/nx.js'), 'sync:check'] },
    types: { name: 'types', command: [YOUNG, tool('typescript/bin/tsc'), '-b'] },
    lint: { name: 'lint', command: [YOUNG, tool('eslint/bin/eslint.js'), '.'], env: { ZK0_LINT: 'all' } },
    build: { name: 'build', command: [tool('nx/dist/bin/nx.js'), 'run-many', '-t', 'build', '--output-style=static'] },
    tests: quick
      ? { name: 'unit tests', command: [...vitest, ...args], env: { ZK0_TESTS: 'unit' } }
      : { name: 'tests', command: [...vitest, ...args] },
  };
}

/**
 * Vitest counts what runs in its own processes; the programs that tests start are counted by Node.
 *
 * @param {string} root
 * @param {string} processes where Node left the coverage of each program
 * @returns {number} percent of all lines that ran, in the tests or in programs that they started; 0 where nothing was counted
 */
function printCoverage(root, processes) {
  const report = join(root, 'coverage', 'coverage-final.json');
  if (!existsSync(report)) return 0;
  console.log('\nCoverage of lines: in the tests, and with the programs that they start');
  let percent = 0;
  for (const { project, lines, own, all } of lineCoverage(report, linesOfProcesses(processes, root), root)) {
    const [tests, both] = [own, all].map((count) => `${((100 * count) / Math.max(1, lines)).toFixed(1)} %`.padStart(8));
    console.log(`${project.padEnd(26)}${tests}${both}`);
    // The last line is that of all projects.
    percent = (100 * all) / Math.max(1, lines);
  }
  return percent;
}

/** @param {Phase} phase */
function heading({ name }) {
  return `\n── ${name} ──`;
}

/**
 * @param {string} name
 * @param {() => Promise<number>} work
 * @returns {Promise<Result>}
 */
async function timed(name, work) {
  const started = Date.now();
  const code = await work();
  return { name, code, seconds: (Date.now() - started) / 1000 };
}
