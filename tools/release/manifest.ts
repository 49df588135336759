import * as path from 'node:path';
import { readJson } from './files.ts';

/** What the tools of a release read and write of a package.json. */
export interface PackageJson {
  name: string;
  version: string;
  private?: boolean;
  description?: string;
  license?: string;
  keywords?: string[];
  homepage?: string;
  bugs?: Readonly<Record<string, string>>;
  repository?: Readonly<Record<string, string>>;
  publishConfig?: Readonly<Record<string, unknown>>;
  engines?: Readonly<Record<string, string>>;
  type?: string;
  main?: string;
  types?: string;
  exports?: Readonly<Record<string, unknown>>;
  bin?: Readonly<Record<string, string>>;
  files?: string[];
  os?: string[];
  cpu?: string[];
  libc?: string[];
  scripts?: Readonly<Record<string, string>>;
  nx?: unknown;
  dependencies?: Readonly<Record<string, string>>;
  optionalDependencies?: Readonly<Record<string, string>>;
  devDependencies?: Readonly<Record<string, string>>;
  bundleDependencies?: string[];
}

/** The condition under which this repository reads sources instead of what was built. */
const SOURCE_CONDITION = '@zk0/source';

/**
 * The package.json that is published: without what only this repository uses (its export condition, its scripts, its Nx
 * settings), and with what is the same for all packages, which the root's package.json says.
 *
 * @param directory of the package, relative to `root`
 */
export function publishedManifest(root: string, directory: string): PackageJson {
  const common = readJson(path.join(root, 'package.json')) as PackageJson;
  const own = readJson(path.join(root, directory, 'package.json')) as PackageJson;
  const { exports, keywords = [], files = [], ...rest } = without(own, ['nx', 'scripts', 'devDependencies']);
  return {
    ...rest,
    keywords: [...new Set([...keywords, ...(common.keywords ?? [])])],
    ...sharedFields(common, directory),
    files: [...files, 'NOTICE'],
    ...(exports !== undefined && { exports: withoutSources(exports) }),
  };
}

/** A copy of a package.json without some of its fields. */
export function without(manifest: PackageJson, fields: readonly (keyof PackageJson)[]): PackageJson {
  return Object.fromEntries(Object.entries(manifest).filter(([key]) => !fields.includes(key as keyof PackageJson))) as unknown as PackageJson;
}

/** Fields that every published package has in common. */
export function sharedFields(common: PackageJson, directory: string): Partial<PackageJson> {
  const { homepage, bugs, repository, publishConfig, license } = common;
  return {
    ...(license !== undefined && { license }),
    ...(homepage !== undefined && { homepage }),
    ...(bugs !== undefined && { bugs }),
    ...(repository !== undefined && { repository: { ...repository, directory } }),
    ...(publishConfig !== undefined && { publishConfig }),
  };
}

function withoutSources(exports: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(exports).map(([entry, target]) => {
      if (typeof target !== 'object' || target === null) return [entry, target];
      return [entry, Object.fromEntries(Object.entries(target).filter(([condition]) => condition !== SOURCE_CONDITION))];
    }),
  );
}
