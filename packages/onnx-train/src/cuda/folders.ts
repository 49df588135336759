import { existsSync, globSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** Folders and why they are looked into. */
export interface SearchPlace {
  /** In words, for messages: `the virtual environment /home/a/venv`. */
  readonly what: string;
  readonly folders: readonly string[];
  /** Whether the system's loader looks there by itself, so that what is found need not be linked. */
  readonly isSystem: boolean;
}

/** What the search may look at beside its places; the process's own by default, others in tests. */
export interface SearchContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly home: string;
  /** Prepended to absolute paths of the system. */
  readonly root: string;
  /** The folder of the onnxruntime that is installed. */
  readonly runtimeFolder: string;
}

export function searchContext(runtimeFolder: string): SearchContext {
  return { env: process.env, cwd: process.cwd(), home: homedir(), root: '/', runtimeFolder };
}

const MAX_FOLDERS = 512;
const MAX_CONFIGURATION_BYTES = 1 << 20;

/**
 * Where a provider and its libraries may lie, in order: the folder that was named, the active Python environments, `.venv` here, the user's own
 * packages, beside onnxruntime-node, system CUDA, and the folders of the system's loader.
 */
export function searchPlaces(from: string | undefined, context: SearchContext): SearchPlace[] {
  const { env, cwd, home, root, runtimeFolder } = context;
  const places: SearchPlace[] = [];
  const add = (what: string, folders: readonly string[], isSystem = false): void => {
    const known = new Set(places.flatMap((place) => place.folders));
    const fresh = [...new Set(folders.filter(isFolder))].filter((folder) => !known.has(folder)).slice(0, MAX_FOLDERS);
    if (fresh.length > 0) places.push({ what, folders: fresh, isSystem });
  };
  if (from !== undefined) add(`--from ${from}`, librariesIn(resolve(cwd, from)));
  const environments = [
    ['the virtual environment', env['VIRTUAL_ENV']],
    ['the conda environment', env['CONDA_PREFIX']],
    ['the virtual environment', join(cwd, '.venv')],
    ['the Python packages of this user', join(home, '.local')],
  ] as const;
  for (const [what, folder] of environments) if (folder) add(`${what} ${folder}`, librariesIn(folder));
  add('onnxruntime-node', [runtimeFolder]);
  const listed = (env['LD_LIBRARY_PATH'] ?? '').split(':').filter((folder) => folder.startsWith('/'));
  add('LD_LIBRARY_PATH', listed);
  add('system CUDA', matching(join(root, 'usr/local'), ['cuda/lib64', 'cuda-*/lib64', 'cuda*/targets/x86_64-linux/lib']));
  add('the system’s folders', loaderFolders(root), true);
  return places;
}

/** A virtual environment, a conda environment, a site-packages folder, a PyTorch installation, or a folder of libraries. */
function librariesIn(folder: string): string[] {
  const packages = ['onnxruntime/capi', 'nvidia/*/lib', 'torch/lib'];
  const sites = [folder, ...matching(folder, ['lib/python3*/site-packages', 'lib64/python3*/site-packages'])];
  return [folder, ...sites.flatMap((site) => matching(site, packages)), ...matching(folder, ['lib', 'lib64', 'targets/x86_64-linux/lib'])];
}

/** The folders of `ld.so.conf`, and those that glibc knows by itself. */
function loaderFolders(root: string): string[] {
  const files = [join(root, 'etc/ld.so.conf'), ...matching(join(root, 'etc/ld.so.conf.d'), ['*.conf'])];
  const named = files.flatMap((file) => linesOf(file).filter((line) => line.startsWith('/')));
  const own = ['/lib/x86_64-linux-gnu', '/usr/lib/x86_64-linux-gnu', '/lib64', '/usr/lib64', '/lib', '/usr/lib'];
  return [...named, ...own].map((folder) => join(root, folder));
}

function linesOf(file: string): string[] {
  try {
    if (statSync(file).size > MAX_CONFIGURATION_BYTES) return [];
    return readFileSync(file, 'utf8').split('\n').map((line) => line.trim());
  } catch {
    // Not every system has the file.
    return [];
  }
}

function matching(folder: string, patterns: readonly string[]): string[] {
  if (!existsSync(folder)) return [];
  return patterns.flatMap((pattern) => globSync(pattern, { cwd: folder }).sort().map((found) => join(folder, found)));
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

/** A file's own path, links followed; `undefined` where it does not exist. */
export function realFile(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}
