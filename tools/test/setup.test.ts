import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { firstDifference, isInRange } from '../setup/lock.mjs';
import { isNewEnough } from '../setup/node.mjs';
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
     writeFileSync('.vitest.json', JSON.stringify({ numPassedTests: ${passed}, numFailedTests: ${failed}, numFailedTestSuites: 0 }));
     process.exit(${failed > 0 ? 1 : 0})`;

  function npmTest(): { readonly status: number | null; readonly last: string | undefined } {
    const { status, stdout } = spawnSync(process.execPath, ['tools/with-setup.mjs', 'test'], { cwd: folder, encoding: 'utf8' });
    return { status, last: stdout.trimEnd().split('\n').at(-1) };
  }

  it('ends with how many tests passed', () => {
    repository({ ...fine, 'node_modules/vitest/vitest.mjs': vitest(7, 0) });
    expect(npmTest()).toEqual({ status: 0, last: '7 passed, 0 failed' });
  });

  it('fails with a failed test', () => {
    repository({ ...fine, 'node_modules/vitest/vitest.mjs': vitest(6, 2) });
    expect(npmTest()).toEqual({ status: 1, last: '6 passed, 2 failed' });
  });

  it('fails with any failed check, which the last line counts, and runs the others all the same', () => {
    repository({
      ...fine,
      'node_modules/eslint/bin/eslint.js': 'process.exit(1)',
      'node_modules/vitest/vitest.mjs': vitest(7, 0),
    });
    expect(npmTest()).toEqual({ status: 1, last: '7 passed, 1 failed' });
  });

  it('fails when the tests do not even start', () => {
    repository({ ...fine, 'node_modules/vitest/vitest.mjs': 'process.exit(1)' });
    expect(npmTest()).toEqual({ status: 1, last: '0 passed, 1 failed' });
  });

  it('starts a simulation where the user is, and passes flags and the exit code on', () => {
    repository({
      'apps/server/src/main.ts': 'const argv: string[] = process.argv.slice(2); console.log(JSON.stringify([argv, process.cwd()])); process.exit(3);',
    });
    const { status, stdout } = spawnSync(process.execPath, [path.join(folder, 'tools/with-setup.mjs'), 'start', '--rounds', '2'], {
      cwd: tmpdir(),
      encoding: 'utf8',
      env: { ...process.env, INIT_CWD: tmpdir() },
    });
    expect({ status, said: JSON.parse(stdout) as unknown }).toEqual({ status: 3, said: [['simulate', '--rounds', '2'], tmpdir()] });
  });

  it('refuses anything else in one line', () => {
    const run = (): unknown => execFileSync(process.execPath, [path.join(ROOT, 'tools/with-setup.mjs'), 'stop'], { stdio: 'pipe' });
    expect(run).toThrow(/error: usage: node tools\/with-setup\.mjs start\|test/);
  });
});
