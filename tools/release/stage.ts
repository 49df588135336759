import { cpSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import * as path from 'node:path';
import { readJson, writeJson } from './files.ts';
import { publishedManifest, type PackageJson } from './manifest.ts';
import { bundleNativeParts } from './native-parts.ts';

export const ROOT = path.resolve(import.meta.dirname, '../..');

/** Where a package's published form is written, in the folder of the package. */
export const STAGE = '.package';

/** Folders of everything that is published, relative to the root. */
export function publishedProjects(root = ROOT): string[] {
  return ['packages', 'apps'].flatMap((folder) =>
    readdirSync(path.join(root, folder))
      .sort()
      .map((name) => path.join(folder, name))
      .filter((directory) => existsSync(path.join(root, directory, 'package.json')))
      .filter((directory) => (readJson(path.join(root, directory, 'package.json')) as PackageJson).private !== true),
  );
}

/**
 * Writes one package as it is published.
 *
 * @param directory relative to the root, for example `packages/core`
 * @returns the folder of what was written
 */
export function stagePackage(directory: string, root = ROOT): string {
  const source = path.join(root, directory);
  if (!existsSync(path.join(source, 'dist'))) throw new Error(`${directory} is not built: run \`npx nx build ${path.basename(directory)}\``);
  const stage = path.join(source, STAGE);
  rmSync(stage, { recursive: true, force: true });
  mkdirSync(stage, { recursive: true });
  const { files = [] } = readJson(path.join(source, 'package.json')) as PackageJson;
  for (const name of [...files.filter((file) => !file.startsWith('!')), 'README.md', 'NOTICE']) {
    if (existsSync(path.join(source, name))) cpSync(path.join(source, name), path.join(stage, name), { recursive: true });
  }
  cpSync(path.join(root, 'LICENSE'), path.join(stage, 'LICENSE'));
  writeJson(path.join(stage, 'package.json'), bundleNativeParts(root, stage, publishedManifest(root, directory)));
  return stage;
}
