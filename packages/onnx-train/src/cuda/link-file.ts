import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { errorMessage } from '@zk0/core/errors';
import { CudaError } from '../errors.ts';
import { PROVIDER, PROVIDER_BRIDGE, type CudaInstallation } from './find-cuda.ts';

/** onnxruntime's own library, under the name that its binding asks for. */
export const RUNTIME = 'libonnxruntime.so.1';
const RECORD = 'link.json';
const FORMAT = 1;
const MAX_RECORD_BYTES = 1 << 20;
const MAX_LIBRARIES = 256;

/** A file as it was when it was linked. */
export interface LinkedFile {
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly modified: number;
}

/** What `cuda use` recorded. */
export interface CudaLink {
  readonly format: typeof FORMAT;
  readonly version: string;
  readonly commit: string | null;
  readonly cudaMajor: number;
  readonly sha256: string;
  readonly runtime: LinkedFile;
  readonly provider: LinkedFile;
  readonly bridge: LinkedFile;
  /** In the order in which they are loaded. */
  readonly libraries: readonly LinkedFile[];
}

/** Where links are kept: `cuda` below `ZK0_HOME`, else below `~/.cache/zk0`. */
export function linkFolder(): string {
  return resolve(process.env['ZK0_HOME'] ?? join(homedir(), '.cache', 'zk0'), 'cuda');
}

/**
 * Links a provider: symbolic links to onnxruntime's library, the provider and its bridge in one folder, for onnxruntime looks for providers in the
 * folder that it was itself loaded from, and a record of every file. Replaces what was linked before; a failure leaves that as it was.
 *
 * @throws CudaError `CUDA_LINK_INVALID` when the folder cannot be written.
 */
export function writeLink(folder: string, runtimePath: string, found: CudaInstallation): CudaLink {
  const link: CudaLink = {
    format: FORMAT,
    version: found.version,
    commit: found.commit ?? null,
    cudaMajor: found.cudaMajor,
    sha256: found.sha256,
    runtime: linked(RUNTIME, runtimePath),
    provider: linked(PROVIDER, found.provider),
    bridge: linked(PROVIDER_BRIDGE, found.bridge),
    libraries: found.libraries.map(({ name, path }) => linked(name, path)),
  };
  let made: string | undefined;
  try {
    mkdirSync(dirname(folder), { recursive: true });
    made = mkdtempSync(`${folder}-`);
    for (const { name, path } of [link.runtime, link.provider, link.bridge]) symlinkSync(path, join(made, name));
    writeFileSync(join(made, RECORD), `${JSON.stringify(link, null, 2)}\n`);
    removeLink(folder);
    renameSync(made, folder);
    return link;
  } catch (error) {
    if (made !== undefined) rmSync(made, { recursive: true, force: true });
    throw linkError(`${folder} cannot be written: ${errorMessage(error)}`, error, 'Check the permissions, or set ZK0_HOME to a folder that can be written.');
  }
}

/** What is linked; `undefined` when nothing is. @throws CudaError `CUDA_LINK_INVALID` for a record that cannot be read. */
export function readLink(folder: string): CudaLink | undefined {
  const file = join(folder, RECORD);
  try {
    if (!existsSync(file)) return undefined;
    if (statSync(file).size > MAX_RECORD_BYTES) throw new Error('it is too large');
    const record: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (!isLink(record)) throw new Error('it is not what `cuda use` writes');
    return record;
  } catch (error) {
    throw linkError(`${file} cannot be read: ${errorMessage(error)}`, error);
  }
}

/**
 * Undoes {@link writeLink}; removes only what that makes.
 *
 * @returns whether anything was linked.
 * @throws CudaError `CUDA_LINK_INVALID`
 */
export function removeLink(folder: string): boolean {
  if (!existsSync(folder)) return false;
  try {
    for (const name of [RECORD, RUNTIME, PROVIDER, PROVIDER_BRIDGE]) rmSync(join(folder, name), { force: true });
    rmdirSync(folder);
    return true;
  } catch (error) {
    throw linkError(`${folder} cannot be removed: ${errorMessage(error)}`, error, 'Remove it by hand.');
  }
}

/** Why a link can no longer be used: the first file that has gone or changed since; `undefined` when all are as they were. */
export function changeSince(link: CudaLink, runtimePath: string): string | undefined {
  if (link.runtime.path !== runtimePath) return `CUDA was linked for the onnxruntime at ${link.runtime.path}; this program uses ${runtimePath}`;
  for (const file of [link.runtime, link.provider, link.bridge, ...link.libraries]) {
    const stat = statSync(file.path, { throwIfNoEntry: false });
    if (stat === undefined) return `${file.path}, which CUDA was linked with, has gone`;
    if (stat.size !== file.bytes || Math.trunc(stat.mtimeMs) !== file.modified) return `${file.path} has changed since CUDA was linked with it`;
  }
  return undefined;
}

function linked(name: string, path: string): LinkedFile {
  const stat = statSync(path);
  return { name, path, bytes: stat.size, modified: Math.trunc(stat.mtimeMs) };
}

function isLink(value: unknown): value is CudaLink {
  if (!isObject(value)) return false;
  const { format, version, commit, cudaMajor, sha256, runtime, provider, bridge, libraries } = value;
  const isText = [version, sha256].every((text) => typeof text === 'string') && (commit === null || typeof commit === 'string');
  const hasFiles = [runtime, provider, bridge].every(isFile) && Array.isArray(libraries) && libraries.length <= MAX_LIBRARIES && libraries.every(isFile);
  return format === FORMAT && isText && typeof cudaMajor === 'number' && hasFiles;
}

function isFile(value: unknown): value is LinkedFile {
  if (!isObject(value)) return false;
  const { name, path, bytes, modified } = value;
  return typeof name === 'string' && typeof path === 'string' && path.startsWith('/') && Number.isSafeInteger(bytes) && Number.isSafeInteger(modified);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function linkError(message: string, cause: unknown, hint = 'Run `zk0-client cuda use` again, or `zk0-client cuda forget`.'): CudaError {
  return new CudaError('CUDA_LINK_INVALID', message, { cause, hint });
}
