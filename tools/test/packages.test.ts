import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT, runNode, workspacePackages, type WorkspacePackage } from './workspace.ts';

const packages = workspacePackages();
let project: string;

/**
 * An empty project with every package installed from its tarball. The tarballs are unpacked here instead of by
 * `npm install`, so that no network is needed; each package sees the outside packages that it declares, and no others.
 */
beforeAll(() => {
  project = mkdtempSync(path.join(tmpdir(), 'zk0-install-'));
  const tarballs = pack(packages, project);
  for (const [index, one] of packages.entries()) {
    const target = path.join(project, 'node_modules', one.manifest.name);
    mkdirSync(target, { recursive: true });
    execFileSync('tar', ['-xzf', path.join(project, tarballs[index]!), '-C', target, '--strip-components=1']);
    linkOutside(one, path.join(target, 'node_modules'));
  }
  writeFileSync(path.join(project, 'package.json'), JSON.stringify({ type: 'module' }));
}, 120_000);

afterAll(() => {
  rmSync(project, { recursive: true, force: true });
});

function pack(all: readonly WorkspacePackage[], destination: string): string[] {
  const flags = all.flatMap(({ directory }) => ['-w', path.relative(ROOT, directory)]);
  const out = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', destination, ...flags], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: 'pipe',
  });
  const packed = JSON.parse(out) as { name: string; filename: string }[] | Record<string, { name: string; filename: string }>;
  const byName = new Map(Object.values(packed).map(({ name, filename }) => [name, filename]));
  // npm before 9 wrote the scope into the name with a slash, the file never has one.
  return all.map(({ manifest }) => byName.get(manifest.name)!.replace('@', '').replace('/', '-'));
}

function linkOutside({ directory, manifest }: WorkspacePackage, folder: string): void {
  const outside = { ...manifest.dependencies, ...manifest.optionalDependencies, ...manifest.peerDependencies };
  for (const name of Object.keys(outside).filter((dependency) => !dependency.startsWith('@zk0/'))) {
    const found = installedAt(name, directory);
    if (found === undefined) continue;
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    symlinkSync(found, path.join(folder, name), 'junction');
  }
}

/** Where npm put a package for the one in `directory`: its own node_modules, or the root's. */
function installedAt(name: string, directory: string): string | undefined {
  return [directory, ROOT].map((at) => path.join(at, 'node_modules', name)).find((candidate) => existsSync(candidate));
}

/** The one runnable example of a README. */
function example({ directory }: WorkspacePackage): string {
  const readme = readFileSync(path.join(directory, 'README.md'), 'utf8');
  const blocks = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code!);
  expect(blocks, 'a README has exactly one ts block').toHaveLength(1);
  return blocks[0]!;
}

describe.each(packages.map((one) => [one.manifest.name, one] as const))('%s', (name, one) => {
  it('has types, sources for debuggers, and no tests in its tarball', () => {
    const files = readdirSync(path.join(project, 'node_modules', name), { recursive: true })
      .map(String)
      .filter((file) => !file.startsWith('node_modules'));
    const needed = ['README.md', 'package.json', 'dist/index.js', 'dist/index.d.ts', 'src/index.ts'];
    expect(needed.filter((file) => !files.includes(file))).toEqual([]);
    expect(files.filter((file) => /\.test\.ts$|\.tsbuildinfo$/.test(file))).toEqual([]);
  });

  it('has the files that its threads are started from', () => {
    const dist = path.join(project, 'node_modules', name, 'dist');
    const code = readFileSync(path.join(dist, 'index.js'), 'utf8');
    const workers = [...code.matchAll(/["'`]\.\/([\w-]*worker)(?:\.js|\$|["'`])/g)].map(([, file]) => `${file!}.js`);
    expect(workers.filter((file) => !existsSync(path.join(dist, file)))).toEqual([]);
  });

  it('can be imported by plain node', () => {
    const script = `console.log(Object.keys(await import(${JSON.stringify(name)})).length)`;
    expect(Number(runNode(['--input-type=module', '-e', script], project))).toBeGreaterThan(0);
  });

  it('runs the example of its README', () => {
    const folder = path.join(project, 'examples', path.basename(one.directory));
    mkdirSync(folder, { recursive: true });
    linkOutside(one, path.join(folder, 'node_modules'));
    writeFileSync(path.join(folder, 'example.ts'), example(one));
    expect(runNode(['example.ts'], folder)).not.toBe('');
  });
});

it('has examples that agree with the types of the packages', () => {
  const tsc = path.join(ROOT, 'node_modules/typescript/bin/tsc');
  const types = path.join(ROOT, 'node_modules', '@types');
  const options = {
    target: 'es2023',
    lib: ['es2023'],
    module: 'nodenext',
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    typeRoots: [types],
    types: ['node'],
  };
  writeFileSync(path.join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, include: ['examples/*/*.ts'] }));
  expect(() => runNode([tsc, '-p', '.'], project)).not.toThrow();
});
