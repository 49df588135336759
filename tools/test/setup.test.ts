import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lineCoverage, linesOfProcesses } from '../setup/child-coverage.mjs';
import { firstDifference, isInRange } from '../setup/lock.mjs';
import { isNewEnough } from '../setup/node.mjs';
import { incidentLines } from '../setup/outcome.mjs';
import { ROOT } from './workspace.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'zk0-setup-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

type Packages = Readonly<Record<string, object>>;

function locked(packages: Packages): void {
  writeFileSync(path.join(folder, 'package-lock.json'), JSON.stringify({ packages }));
}

function installed(packages: Packages): void {
  mkdirSync(path.join(folder, 'node_modules'), { recursive: true });
  writeFileSync(path.join(folder, 'node_modules', '.package-lock.json'), JSON.stringify({ packages }));
}

describe('firstDifference', () => {
  const a = { version: '1.0.0', integrity: 'sha512-a' };
  const here = { os: [process.platform], cpu: [process.arch] };

  it('asks for an install on the first run, and after one that did not end', () => {
    locked({ 'node_modules/a': a });
    expect(firstDifference(folder)).toBe('first run');
    mkdirSync(path.join(folder, 'node_modules'));
    expect(firstDifference(folder)).toBe('first run');
  });

  it('is content with what the lock file says', () => {
    locked({ '': {}, 'packages/x': { version: '0.1.0' }, 'node_modules/@zk0/x': { link: true }, 'node_modules/a': a });
    installed({ 'node_modules/@zk0/x': { link: true }, 'node_modules/a': a });
    expect(firstDifference(folder)).toBeUndefined();
  });

  it.each([
    ['another version', { 'node_modules/a': { ...a, version: '1.0.1' } }],
    ['other content', { 'node_modules/a': { ...a, integrity: 'sha512-b' } }],
    ['a missing package', {}],
  ])('asks for an install after %s', (_what, found) => {
    locked({ 'node_modules/a': a });
    installed(found);
    expect(firstDifference(folder)).toBe('node_modules/a has changed');
  });

  it('does not miss the tools of development where nobody develops', () => {
    locked({ 'node_modules/a': a, 'node_modules/tool': { ...a, dev: true } });
    installed({ 'node_modules/a': a });
    expect(firstDifference(folder, { tools: false })).toBeUndefined();
    expect(firstDifference(folder)).toBe('node_modules/tool has changed');
  });

  it('misses optional packages for this platform, and no others', () => {
    installed({});
    locked({ 'node_modules/a': { ...a, optional: true, os: ['none'] }, 'node_modules/b': { ...a, optional: true } });
    expect(firstDifference(folder)).toBeUndefined();
    locked({ 'node_modules/a': { ...a, optional: true, ...here } });
    expect(firstDifference(folder)).toBe('node_modules/a has changed');
  });
});

describe('a package that the Node in use is no good for', () => {
  it('may be absent: npm leaves it out, and installing again changes nothing', () => {
    const entry = { version: '1.0.0', integrity: 'sha512-a', optional: true, os: [process.platform], cpu: [process.arch] };
    installed({});
    locked({ 'node_modules/a': { ...entry, engines: { node: '>=99' } } });
    expect(firstDifference(folder)).toBeUndefined();
    locked({ 'node_modules/a': { ...entry, engines: { node: '>=18' } } });
    expect(firstDifference(folder)).toBe('node_modules/a has changed');
  });

  it.each([
    ['v24.11.0', '^22.20 || ^24.12 || >=25', false],
    ['v24.12.0', '^22.20 || ^24.12 || >=25', true],
    ['v22.20.0', '^22.20 || ^24.12 || >=25', true],
    ['v26.0.0', '^22.20 || ^24.12 || >=25', true],
    ['v23.0.0', '^22.20 || ^24.12 || >=25', false],
    ['v18.17.0', '^18.17.0 || >= 20.3.1', true],
    ['v20.3.0', '^18.17.0 || >= 20.3.1', false],
    ['v20.3.0', '*', true],
  ])('%s in %s: %s', (version, range, expected) => {
    expect(isInRange(version, range)).toBe(expected);
  });
});

describe('isNewEnough', () => {
  it.each([
    ['v22.19.0', true],
    ['v22.18.9', false],
    ['v20.20.2', false],
    ['v24.0.0', true],
  ])('%s: %s', (version, expected) => {
    expect(isNewEnough(version)).toBe(expected);
  });
});

describe('incidentLines', () => {
  const incidents = (count: number): { test: string; error: string }[] => Array.from({ length: count }, (_, index) => ({ test: `t${index}`, error: 'e' }));

  it('has at most 20 lines, and says how many are left out', () => {
    expect(incidentLines({ failures: incidents(20), flaky: [] })).toHaveLength(20);
    const lines = incidentLines({ failures: incidents(15), flaky: incidents(10) });
    expect(lines.slice(-2)).toEqual(['flaky t3: e', 'and 6 more, which the log above names']);
    expect(lines).toHaveLength(20);
  });

  it('keeps to one line of the given width each, without colours', () => {
    const failures = [{ test: 'a.test.ts > adds', error: `\u001b[31mexpected\u001b[39m 3\tto be ${'4'.repeat(200)}` }];
    const [line = ''] = incidentLines({ failures, flaky: [] }, 40);
    expect(line).toBe('failed a.test.ts > adds: expected 3 to …');
    expect(incidentLines({ failures, flaky: [] })[0]).toHaveLength(160);
  });
});

describe('npm start and npm test', () => {
  /** A repository whose checks are these programs. */
  function repository(programs: Readonly<Record<string, string>>): void {
    cpSync(path.join(ROOT, 'tools'), path.join(folder, 'tools'), { recursive: true });
    locked({});
    installed({});
    for (const [file, code] of Object.entries(programs)) {
      mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
      writeFileSync(path.join(folder, file), code);
    }
  }
  const fine = {
    'node_modules/nx/dist/bin/nx.js': '',
    'node_modules/typescript/bin/tsc': '',
    'node_modules/eslint/bin/eslint.js': '',
  };
  const vitest = (passed: number, failed: number): string =>
    `import { writeFileSync } from 'node:fs';
     writeFileSync('.vitest-outcome.json', JSON.stringify({ passed: ${passed}, failed: ${failed}, failures: [], flaky: [] }));
     process.exit(${failed > 0 ? 1 : 0})`;

  function npmTest(...args: readonly string[]): { readonly status: number | null; readonly lines: readonly string[] } {
    const { status, stdout } = spawnSync(process.execPath, ['tools/with-setup.mjs', 'test', ...args], { cwd: folder, encoding: 'utf8' });
    return { status, lines: stdout.trimEnd().split('\n') };
  }

  function npmTestEnd(): { readonly status: number | null; readonly last: string | undefined } {
    const { status, lines } = npmTest();
    return { status, last: lines.at(-1) };
  }

  it('ends with how many tests passed', () => {
    repository({ ...fine, 'node_modules/vitest/vitest.mjs': vitest(7, 0) });
    expect(npmTestEnd()).toEqual({ status: 0, last: '7 passed, 0 failed' });
  });

  it('fails with a failed test', () => {
    repository({ ...fine, 'node_modules/vitest/vitest.mjs': vitest(6, 2) });
    expect(npmTestEnd()).toEqual({ status: 1, last: '6 passed, 2 failed' });
  });

  it('fails with any failed check, which the last line counts, and runs the others all the same', () => {
    repository({
      ...fine,
      'node_modules/eslint/bin/eslint.js': 'process.exit(1)',
      'node_modules/vitest/vitest.mjs': vitest(7, 0),
    });
    expect(npmTestEnd()).toEqual({ status: 1, last: '7 passed, 1 failed' });
  });

  it('fails when the tests do not even start', () => {
    repository({ ...fine, 'node_modules/vitest/vitest.mjs': 'process.exit(1)' });
    expect(npmTestEnd()).toEqual({ status: 1, last: '0 passed, 1 failed' });
  });

  it('names the tests that failed, and those that passed on the second try, before the last line', () => {
    cpSync(path.join(ROOT, 'tools'), path.join(folder, 'tools'), { recursive: true });
    locked({});
    symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'), 'junction');
    const tests = `import { beforeAll, describe, expect, it } from 'vitest';
      let tries = 0;
      it('holds', () => {});
      it('holds at last', () => { expect(++tries, 'tries').toBe(2); });
      it('never holds', () => { throw new Error('the sum is 3\\nand not 4'); });
      describe('a group', () => {
        beforeAll(() => { throw new Error('no server'); });
        it('is not tried', () => {});
      });`;
    writeFileSync(path.join(folder, 'some.test.ts'), tests);
    writeFileSync(path.join(folder, 'torn.test.ts'), 'throw new Error("does not load");');
    const { status, lines } = npmTest('some.test.ts', 'torn.test.ts');
    expect({ status, lines: lines.slice(-6) }).toEqual({
      status: 1,
      lines: [
        expect.stringMatching(/^FAILED tests \(/),
        'failed some.test.ts > a group: no server',
        'failed some.test.ts > never holds: the sum is 3',
        'failed torn.test.ts: does not load',
        'flaky some.test.ts > holds at last: tries: expected 1 to be 2 // Object.is equality',
        '2 passed, 3 failed',
      ],
    });
  });

  it('counts the checks of the quick lane, which has no build', () => {
    const build = "import { writeFileSync } from 'node:fs'; if (process.argv.includes('build')) writeFileSync('built', '');";
    const unit = "if (process.env.ZK0_TESTS !== 'unit') process.exit(1);";
    repository({ ...fine, 'node_modules/nx/dist/bin/nx.js': build, 'node_modules/vitest/vitest.mjs': `${vitest(7, 0)};`.replace('process.exit', `${unit} process.exit`) });
    const { status, stdout } = spawnSync(process.execPath, ['tools/with-setup.mjs', 'test:quick'], { cwd: folder, encoding: 'utf8' });
    expect(status).toBe(0);
    expect(stdout.match(/^ok +[a-z ]+/gm)?.map((line) => line.trim())).toEqual(['ok     project references', 'ok     types', 'ok     unit tests', 'ok     lint']);
    expect(existsSync(path.join(folder, 'built'))).toBe(false);
  });

  it.each([
    ['enough lines ran', 9, { status: 0, last: '7 passed, 0 failed' }],
    ['too few lines ran', 8, { status: 1, last: '7 passed, 1 failed' }],
  ])('counts the coverage as one more check: %s', (_what, covered, end) => {
    const statements = Object.fromEntries(Array.from({ length: 10 }, (_, line) => [line, { start: { line: line + 1 } }]));
    const counts = Object.fromEntries(Array.from({ length: 10 }, (_, line) => [line, line < covered ? 1 : 0]));
    const file = path.join(folder, 'packages', 'one', 'src', 'index.ts');
    mkdirSync(path.join(folder, 'coverage'));
    writeFileSync(path.join(folder, 'coverage', 'coverage-final.json'), JSON.stringify({ [file]: { path: file, statementMap: statements, s: counts } }));
    repository({ ...fine, 'node_modules/vitest/vitest.mjs': vitest(7, 0) });
    const { status, lines } = npmTest('--coverage');
    expect({ status, last: lines.at(-1) }).toEqual(end);
  });

  it('shows what lint found in one piece, though it runs beside other checks', () => {
    repository({
      ...fine,
      'node_modules/typescript/bin/tsc': 'console.log("types: a"); setTimeout(() => console.log("types: b"), 300);',
      'node_modules/eslint/bin/eslint.js': 'console.log("lint: a"); setTimeout(() => { console.error("lint: b"); process.exitCode = 1; }, 150);',
      'node_modules/vitest/vitest.mjs': vitest(7, 0),
    });
    const { lines } = npmTest();
    expect(lines.filter((line) => /^(types|lint): /.test(line))).toEqual(['types: a', 'types: b', 'lint: a', 'lint: b']);
  });

  it('starts the demo where the user is, or the command that is named, and passes flags and the exit code on', () => {
    repository({
      'apps/server/src/main.ts': 'const argv: string[] = process.argv.slice(2); console.log(JSON.stringify([argv, process.cwd()])); process.exit(3);',
    });
    const start = (...args: readonly string[]): unknown => {
      const { status, stdout } = spawnSync(process.execPath, [path.join(folder, 'tools/with-setup.mjs'), 'start', ...args], {
        cwd: tmpdir(),
        encoding: 'utf8',
        env: { ...process.env, INIT_CWD: tmpdir() },
      });
      return { status, said: JSON.parse(stdout) as unknown };
    };
    expect(start('--rounds', '2')).toEqual({ status: 3, said: [['demo', '--rounds', '2'], tmpdir()] });
    expect(start('simulate', '--rounds', '2')).toEqual({ status: 3, said: [['simulate', '--rounds', '2'], tmpdir()] });
  });

  it('refuses anything else in one line', () => {
    const run = (): unknown => execFileSync(process.execPath, [path.join(ROOT, 'tools/with-setup.mjs'), 'stop'], { stdio: 'pipe' });
    expect(run).toThrow(/error: usage: node tools\/with-setup\.mjs start\|test\|test:quick/);
  });
});

describe('the coverage of lines', () => {
  it('counts what a program that a test has started ran, through its source map, once with what tests ran themselves', () => {
    const dist = path.join(folder, 'apps/one/dist');
    mkdirSync(dist, { recursive: true });
    // Line for line the source: a mapping to source 0, one line further each, column 0.
    const code = 'function used() {\n  return process.argv.length;\n}\nfunction unused() {\n  return 2;\n}\nused();\nif (process.argv.length > 9) unused();\n';
    const map = { version: 3, sources: ['../src/main.ts'], names: [], mappings: 'AAAA;EACE;AACF;AACA;EACE;AACF;AACA;AACA' };
    writeFileSync(path.join(dist, 'main.js'), code);
    writeFileSync(path.join(dist, 'main.js.map'), JSON.stringify(map));
    const counted = path.join(folder, 'counted');
    execFileSync(process.execPath, [path.join(dist, 'main.js')], { env: { ...process.env, NODE_V8_COVERAGE: counted } });
    const source = path.join(folder, 'apps/one/src/main.ts');
    const ran = linesOfProcesses(counted, folder);
    expect([...ran.keys()]).toEqual([source]);
    expect(ran.get(source)).toContain(2);
    expect(ran.get(source)).not.toContain(5);

    const report = path.join(folder, 'coverage-final.json');
    const statementMap = Object.fromEntries([2, 5, 7, 8].map((line) => [line, { start: { line, column: 0 } }]));
    writeFileSync(report, JSON.stringify({ [source]: { path: source, statementMap, s: { 2: 0, 5: 0, 7: 1, 8: 0 } } }));
    expect(lineCoverage(report, ran, folder)).toEqual([
      { project: 'apps/one', lines: 4, own: 1, all: 3 },
      { project: 'all', lines: 4, own: 1, all: 3 },
    ]);
  });
});
