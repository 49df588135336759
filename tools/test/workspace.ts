import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import * as path from 'node:path';

export const ROOT = path.resolve(import.meta.dirname, '../..');

/** What these tests need of a package.json. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
  readonly engines?: Readonly<Record<string, string>>;
  readonly exports?: Readonly<Record<string, unknown>> & { readonly '.'?: Readonly<Record<string, string>> };
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly bundleDependencies?: readonly string[];
  readonly keywords?: readonly string[];
}

/** A package under `packages/`. */
export interface WorkspacePackage {
  readonly directory: string;
  readonly manifest: Manifest;
}

export function workspacePackages(): WorkspacePackage[] {
  return readdirSync(path.join(ROOT, 'packages'))
    .sort()
    .map((name) => path.join(ROOT, 'packages', name))
    .map((directory) => ({
      directory,
      manifest: JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8')) as Manifest,
    }));
}

/** Runs Node as a user would: no flags and conditions of the test runner. Returns stdout; throws with stderr. */
export function runNode(args: readonly string[], cwd: string): string {
  const env = { ...process.env };
  delete env['NODE_OPTIONS'];
  return execFileSync(process.execPath, args, { cwd, env, encoding: 'utf8', stdio: 'pipe', timeout: 100_000 });
}
