import { readdirSync, readFileSync } from 'node:fs';
import * as path from 'node:path';
import { expect, it } from 'vitest';
import { ROOT } from './workspace.ts';

/** Packages of the repository that a package depends on. */
function dependencies(folder: string): string[] {
  const { dependencies: all = {} } = JSON.parse(readFileSync(path.join(ROOT, 'packages', folder, 'package.json'), 'utf8')) as { dependencies?: Record<string, string> };
  return Object.keys(all).flatMap((name) => (name.startsWith('@zk0/') ? [name.slice('@zk0/'.length)] : []));
}

const packages = readdirSync(path.join(ROOT, 'packages'));

it('the picture of the packages shows every package and every dependency but that on core', () => {
  const text = readFileSync(path.join(ROOT, 'docs/architecture.md'), 'utf8');
  const [, picture = ''] = /```mermaid\nflowchart TD\n(.*?)```/s.exec(text) ?? [];
  const lines = picture.trim().split('\n').map((line) => line.trim());
  const drawn = lines.filter((line) => line.includes('-->'));
  const real = packages.flatMap((name) => dependencies(name).filter((other) => other !== 'core').map((other) => `${name} --> ${other}`));
  expect([...drawn].sort()).toEqual(real.sort());
  expect(new Set(lines.flatMap((line) => line.split(' --> '))), 'packages').toEqual(new Set(packages.filter((name) => name !== 'core')));
});

it('the table in the README allows exactly what packages depend on', () => {
  const rows = [...readFileSync(path.join(ROOT, 'README.md'), 'utf8').matchAll(/^\| \[`([\w-]+)`\]\(packages\/[\w-]+\) \| .* \| ([^|]*) \|$/gm)];
  const allowed = Object.fromEntries(rows.map(([, name, list]) => [name!, list === '–' ? [] : list!.split(', ').sort()]));
  expect(allowed).toEqual(Object.fromEntries(packages.map((name) => [name, dependencies(name).sort()])));
});
