import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runtimePackage, stageRuntime, PLATFORMS } from '../release/native-parts.ts';
import { publishedProjects, stagePackage } from '../release/stage.ts';
import { ROOT, runNode, workspacePackages, type Manifest, type WorkspacePackage } from './workspace.ts';

const packages = workspacePackages();
const published = publishedProjects();
let project: string;

/**
 * An empty project with every package installed from its tarball. The tarballs are unpacked here instead of by
 * `npm install`, so that no network is needed; each package sees the outside packages that it declares, and no others.
 */
beforeAll(() => {
  project = mkdtempSync(path.join(tmpdir(), 'zk0-install-'));
  const staged = published.map((directory) => stagePackage(directory));
  for (const [name, tarball] of pack(staged, project)) {
    const target = installed(name);
    mkdirSync(target, { recursive: true });
    execFileSync('tar', ['-xzf', path.join(project, tarball), '-C', target, '--strip-components=1']);
    linkOutside(manifestOf(target), ROOT, path.join(target, 'node_modules'));
  }
  const platform = PLATFORMS.find((one) => one === `${process.platform}-${process.arch}`);
  if (platform !== undefined) stageRuntime(ROOT, platform, installed(runtimePackage(platform)));
  writeFileSync(path.join(project, 'package.json'), JSON.stringify({ type: 'module' }));
}, 120_000);

afterAll(() => {
  rmSync(project, { recursive: true, force: true });
});

/** Where a package is in the project. */
function installed(name: string): string {
  return path.join(project, 'node_modules', name);
}

function manifestOf(directory: string): Manifest {
  return JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8')) as Manifest;
}

/** Packs folders; names and files of the tarballs. */
function pack(folders: readonly string[], destination: string): [string, string][] {
  const out = execFileSync('npm', ['pack', '--json', '--pack-destination', destination, ...folders], { cwd: destination, encoding: 'utf8', stdio: 'pipe' });
  const packed = JSON.parse(out) as { name: string; filename: string }[] | Record<string, { name: string; filename: string }>;
  // npm before 9 wrote the scope into the name with a slash, the file never has one.
  return Object.values(packed).map(({ name, filename }) => [name, filename.replace('@', '').replace('/', '-')]);
}

/** Gives a package the outside packages that it declares, from where npm put them for the one in `directory`. */
function linkOutside(manifest: Manifest, directory: string, folder: string): void {
  const outside = { ...manifest.dependencies, ...manifest.optionalDependencies, ...manifest.peerDependencies };
  for (const name of Object.keys(outside).filter((dependency) => !dependency.startsWith('@zk0/'))) {
    const found = installedAt(name, directory);
    if (found === undefined || existsSync(path.join(folder, name))) continue;
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
    const files = readdirSync(installed(name), { recursive: true })
      .map(String)
      .filter((file) => !file.startsWith('node_modules'));
    const needed = ['README.md', 'package.json', 'dist/index.js', 'dist/index.d.ts', 'src/index.ts'];
    expect(needed.filter((file) => !files.includes(file))).toEqual([]);
    expect(files.filter((file) => /\.test\.ts$|\.tsbuildinfo$/.test(file))).toEqual([]);
  });

  it('has the files that its threads are started from', () => {
    const dist = path.join(installed(name), 'dist');
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
    linkOutside(one.manifest, one.directory, path.join(folder, 'node_modules'));
    writeFileSync(path.join(folder, 'example.ts'), example(one));
    expect(runNode(['example.ts'], folder)).not.toBe('');
  });
});

describe.each(published)('the tarball of %s', (directory) => {
  const { name } = manifestOf(path.join(ROOT, directory));

  it('says where it comes from, and nothing that only this repository understands', () => {
    const manifest = manifestOf(installed(name));
    expect(manifest).toMatchObject({
      license: 'Apache-2.0',
      repository: { type: 'git', directory },
      publishConfig: { access: 'public', provenance: true },
    });
    expect(manifest.keywords?.length).toBeGreaterThan(2);
    expect(Object.keys(manifest).filter((key) => ['private', 'nx', 'scripts', 'devDependencies', 'workspaces'].includes(key))).toEqual([]);
    expect(JSON.stringify(manifest.exports ?? {})).not.toContain('@zk0/source');
  });

  it('carries the licence, and a notice where something of another licence comes with it', () => {
    const files = readdirSync(installed(name));
    expect(files).toContain('LICENSE');
    const { dependencies = {}, bundleDependencies = [] } = manifestOf(installed(name));
    const needsNotice = bundleDependencies.length > 0 || '@zk0/dataset-so100' in dependencies;
    if (needsNotice && !name.startsWith('@zk0/demo')) expect(files).toContain('NOTICE');
  });

  it('brings nothing that runs when it is installed, except what only looks for a compiled part', () => {
    const runsScripts = allManifests(installed(name)).filter(({ scripts = {} }) => ['preinstall', 'install', 'postinstall'].some((script) => script in scripts));
    expect(runsScripts.map((manifest) => manifest.name)).toEqual([]);
  });
});

/** Package.json files of a package's own dependencies, as they are installed with it. */
function allManifests(directory: string): (Manifest & { scripts?: Record<string, string> })[] {
  const { dependencies = {}, optionalDependencies = {} } = manifestOf(directory);
  return Object.keys({ ...dependencies, ...optionalDependencies })
    .map((name) => path.join(directory, 'node_modules', name))
    .filter((folder) => existsSync(path.join(folder, 'package.json')))
    .map(manifestOf);
}

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
