import { dirname, join } from 'node:path';
import { CudaError } from '../errors.ts';
import { binaryFacts, sharedLibraryAt, type BinaryFacts } from './binary-facts.ts';
import { matchingCommit } from './commit.ts';
import type { SharedLibrary } from './elf.ts';
import { realFile, searchPlaces, type SearchContext, type SearchPlace } from './folders.ts';
import { cudaMajor, DRIVER_LIBRARY, howToGet, isLoadedByNode, lateLibraries, optionalLibraries, pipForProvider } from './needs.ts';

export const PROVIDER = 'libonnxruntime_providers_cuda.so';
export const PROVIDER_BRIDGE = 'libonnxruntime_providers_shared.so';

/** onnxruntime as it is installed, which a provider has to fit. */
export interface InstalledRuntime {
  /** Its library. */
  readonly path: string;
  readonly version: string;
  readonly commit: string | undefined;
}

/** A provider that fits, and all that it needs. */
export interface CudaInstallation {
  readonly provider: string;
  readonly bridge: string;
  /** SHA-256 of the provider. */
  readonly sha256: string;
  readonly version: string;
  /** The commit it was built from; `undefined` where nothing tells. */
  readonly commit: string | undefined;
  readonly cudaMajor: number;
  /** Libraries to load before it, in order: each after those that it needs itself; without those of the system, which the loader finds. */
  readonly libraries: readonly { readonly name: string; readonly path: string }[];
  /** What is not there and is not needed to link: the driver, and libraries for graphs that do not occur here. */
  readonly absent: readonly { readonly name: string; readonly advice: string }[];
}

/** Needed libraries form a graph of about 15; a chain longer than this is no real one. */
const MAX_LIBRARIES = 64;

/**
 * Looks for onnxruntime's CUDA provider and for every library that it needs, and checks each before anything is linked: whole, for this
 * processor, of onnxruntime's own version and commit.
 *
 * @param from a folder that was named; without it, the provider is looked for where Python environments and system CUDA are.
 * @throws CudaError
 */
export function findCuda(runtime: InstalledRuntime, from: string | undefined, context: SearchContext): CudaInstallation {
  const places = searchPlaces(from, context);
  const named = `--from ${from ?? ''}`;
  const provider = findProvider(runtime, from === undefined ? places : places.filter(({ what }) => what === named), from);
  const major = cudaMajor(provider.library.needed);
  if (major === undefined) {
    throw new CudaError('CUDA_LIBRARY_INVALID', `${provider.path} needs no cuBLAS, so it is not onnxruntime's CUDA provider`, { hint: `Run \`${pipForProvider(runtime.version)}\`.` });
  }
  const search = new LibrarySearch(places, major);
  for (const library of provider.library.needed) search.require(library, provider.path, provider.library);
  for (const library of lateLibraries(major)) search.require(library, provider.path, provider.library);
  for (const library of optionalLibraries(major)) search.offer(library, 'Only graphs with Fourier transforms need it.');
  return {
    provider: provider.path,
    bridge: provider.bridge,
    sha256: provider.facts.sha256,
    version: runtime.version,
    commit: provider.commit,
    cudaMajor: major,
    libraries: search.found,
    absent: search.absent,
  };
}

interface Provider {
  readonly path: string;
  readonly bridge: string;
  readonly library: SharedLibrary;
  readonly facts: BinaryFacts;
  readonly commit: string | undefined;
}

/** The first provider that fits; when none does, the error is the first one's. */
function findProvider(runtime: InstalledRuntime, places: readonly SearchPlace[], from: string | undefined): Provider {
  const looked = places.flatMap(({ folders }) => folders);
  let first: CudaError | undefined;
  for (const folder of looked) {
    const path = realFile(join(folder, PROVIDER));
    if (path === undefined) continue;
    try {
      return checkedProvider(runtime, path);
    } catch (error) {
      if (!(error instanceof CudaError)) throw error;
      first ??= error;
    }
  }
  if (first !== undefined) throw first;
  const where = from === undefined ? describePlaces(places) : `--from ${from}${places.length === 0 ? ', which is not a folder' : ''}`;
  throw new CudaError('CUDA_PROVIDER_NOT_FOUND', `${PROVIDER} was not found; looked in ${where}`, {
    hint: `Run \`${pipForProvider(runtime.version)}\` in a Python environment, and then \`zk0-client cuda use --from\` with the folder of that environment.`,
  });
}

function checkedProvider(runtime: InstalledRuntime, path: string): Provider {
  const library = sharedLibraryAt(path);
  const facts = binaryFacts(path);
  const advice = { hint: `Run \`${pipForProvider(runtime.version)}\` in the Python environment that it is to come from.` };
  if (!facts.versions.includes(runtime.version)) {
    const version = facts.versions.length === 0 ? 'of an unknown version' : `of version ${facts.versions.join(' or ')}`;
    throw new CudaError('CUDA_PROVIDER_MISMATCH', `${path} is ${version}; the onnxruntime that is installed here is ${runtime.version}`, advice);
  }
  const commit = matchingCommit(path, facts);
  if (commit !== undefined && runtime.commit !== undefined && !commit.startsWith(runtime.commit) && !runtime.commit.startsWith(commit)) {
    throw new CudaError('CUDA_PROVIDER_MISMATCH', `${path} was built from commit ${commit}; the onnxruntime that is installed here from ${runtime.commit}`, advice);
  }
  const bridge = realFile(join(dirname(path), PROVIDER_BRIDGE));
  if (bridge === undefined) throw new CudaError('CUDA_LIBRARY_NOT_FOUND', `${PROVIDER_BRIDGE} is not beside ${path}`, advice);
  sharedLibraryAt(bridge);
  return { path, bridge, library, facts, commit };
}

/** Finds libraries and, through them, what they need in turn. */
class LibrarySearch {
  readonly #places: readonly SearchPlace[];
  readonly #systemFolders: ReadonlySet<string>;
  readonly #cudaMajor: number;
  readonly #seen = new Set<string>();
  readonly found: { readonly name: string; readonly path: string }[] = [];
  readonly absent: { readonly name: string; readonly advice: string }[] = [];

  constructor(places: readonly SearchPlace[], major: number) {
    this.#places = places;
    this.#systemFolders = new Set(places.filter(({ isSystem }) => isSystem).flatMap(({ folders }) => folders));
    this.#cudaMajor = major;
  }

  /** @throws CudaError `CUDA_LIBRARY_NOT_FOUND`, `CUDA_LIBRARY_INVALID` */
  require(name: string, neededBy: string, needing: SharedLibrary): void {
    if (isLoadedByNode(name) || this.#seen.has(name)) return;
    const advice = howToGet(name, this.#cudaMajor);
    if (this.#add(name, ownFolders(neededBy, needing))) return;
    if (name === DRIVER_LIBRARY) {
      this.absent.push({ name, advice });
      return;
    }
    throw new CudaError('CUDA_LIBRARY_NOT_FOUND', `${name}, which ${neededBy} needs, was not found; looked in ${describePlaces(this.#places)}`, { hint: advice });
  }

  /** Takes a library along that may be missing. */
  offer(name: string, why: string): void {
    if (!this.#add(name, [])) this.absent.push({ name, advice: `${why} ${howToGet(name, this.#cudaMajor)}` });
  }

  #add(name: string, first: readonly string[]): boolean {
    this.#seen.add(name);
    if (this.#seen.size > MAX_LIBRARIES) throw new CudaError('CUDA_LIBRARY_INVALID', `more than ${MAX_LIBRARIES} libraries are needed, the last ${name}`);
    if (name.includes('/') || name.includes('\0')) throw new CudaError('CUDA_LIBRARY_INVALID', `a library is needed by the path ${name}`);
    // Parts of one library are of one release: cuDNN's, for example, must come from one folder.
    const family = /^lib[a-z]+/.exec(name)?.[0] ?? name;
    const together = this.found.filter((other) => other.name.startsWith(family)).map(({ path }) => dirname(path));
    for (const folder of new Set([...together, ...first, ...this.#places.flatMap((place) => place.folders)])) {
      const path = realFile(join(folder, name));
      if (path === undefined) continue;
      const library = sharedLibraryAt(path);
      for (const needed of library.needed) this.require(needed, path, library);
      // The loader finds those of the system by itself, and an update of the system may replace them.
      if (!this.#systemFolders.has(folder)) this.found.push({ name, path });
      return true;
    }
    return false;
  }
}

/** The folders that a library itself names, its own for `$ORIGIN`. */
function ownFolders(path: string, { runpath }: SharedLibrary): string[] {
  const folders = runpath.map((folder) => folder.replace(/^\$(?:ORIGIN|\{ORIGIN\})/, dirname(path)));
  return folders.filter((folder) => folder.startsWith('/'));
}

function describePlaces(places: readonly SearchPlace[]): string {
  return places.length === 0 ? 'no folder: none of those that usually hold it exists' : places.map(({ what, folders }) => (folders.length === 1 && !what.includes('/') ? folders[0]! : what)).join(', ');
}
