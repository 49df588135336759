import { readFileSync, realpathSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { errorMessage } from '@zk0/core/errors';
import { CudaError } from '../errors.ts';
import { runtimeFolder } from '../session/runtime-folder.ts';
import { PROVIDER, PROVIDER_BRIDGE } from './find-cuda.ts';
import { changeSince, linkFolder, readLink, RUNTIME, type CudaLink, type LinkedFile } from './link-file.ts';
import { CUDNN, DRIVER_LIBRARY, howToGet } from './needs.ts';

/** CUDA as this process can use it. */
export type CudaState =
  /** `cuda use` was not run; a provider may still lie beside onnxruntime's library. */
  | { readonly kind: 'none' }
  | { readonly kind: 'linked'; readonly link: CudaLink }
  /** What was linked has gone or changed. */
  | { readonly kind: 'broken'; readonly reason: string };

/** glibc's flag that keeps a library loaded after `dlclose`, which Node calls on what is not an add-on of its own. */
const RTLD_NODELETE = 0x1000;
const { RTLD_GLOBAL } = constants.dlopen;

let known: CudaState | undefined;

/** What is linked, looked at once in a process: onnxruntime can be loaded only once. */
export function cudaState(): CudaState {
  return (known ??= currentCudaState());
}

/** What is linked now, whatever this process has loaded. */
export function currentCudaState(): CudaState {
  if (process.platform !== 'linux' || process.arch !== 'x64') return { kind: 'none' };
  try {
    const link = readLink(linkFolder());
    if (link === undefined) return { kind: 'none' };
    const reason = changeSince(link, installedRuntime());
    return reason === undefined ? { kind: 'linked', link } : { kind: 'broken', reason };
  } catch (error) {
    return { kind: 'broken', reason: errorMessage(error) };
  }
}

/** onnxruntime's library as it is installed, links followed. */
export function installedRuntime(): string {
  return realpathSync(join(runtimeFolder(), RUNTIME));
}

/**
 * Loads onnxruntime's library through the folder of links, before its binding asks for it: it looks for its providers in the folder that it was
 * loaded from, and the loader gives the binding what is loaded under the same name. Nothing is loaded where nothing is linked.
 */
export function preloadRuntime(): void {
  if (cudaState().kind !== 'linked') return;
  try {
    keepLoaded(join(linkFolder(), RUNTIME), constants.dlopen.RTLD_NOW);
  } catch (error) {
    known = { kind: 'broken', reason: errorMessage(error) };
  }
}

/**
 * Loads what the linked provider needs, in order, so that the loader finds it by its name wherever it lies. Each file is loaded from its own
 * folder, for cuDNN opens its parts there.
 *
 * @throws CudaError `CUDA_LIBRARY_NOT_FOUND` without a driver; `CUDA_LIBRARY_INVALID` with the loader's reason.
 */
export function preloadCudaLibraries(): void {
  const state = cudaState();
  if (state.kind !== 'linked') return;
  const { libraries, cudaMajor } = state.link;
  if (!libraries.some(({ name }) => name === DRIVER_LIBRARY)) {
    try {
      keepLoaded(DRIVER_LIBRARY, constants.dlopen.RTLD_LAZY);
    } catch (error) {
      throw new CudaError('CUDA_LIBRARY_NOT_FOUND', `${DRIVER_LIBRARY} was not found: NVIDIA's driver is not installed`, { cause: error, hint: howToGet(DRIVER_LIBRARY, cudaMajor) });
    }
  }
  const cudnn = dirname(libraries.find(({ name }) => name === CUDNN)?.path ?? '/');
  // cuDNN opens those of its parts that a graph needs; loading all takes 105 MB and a quarter of a second.
  const isPart = ({ name, path }: LinkedFile): boolean => name.startsWith('libcudnn_') && dirname(path) === cudnn;
  for (const library of libraries) if (!isPart(library)) keepLoaded(library.path, constants.dlopen.RTLD_LAZY);
}

/**
 * Why the linked provider cannot be loaded, in the loader's words: onnxruntime says no more than that it failed.
 *
 * @returns `undefined` where nothing is linked, or the loader finds nothing wrong.
 */
export function providerFailure(): CudaError | undefined {
  const state = cudaState();
  if (state.kind !== 'linked') return undefined;
  try {
    // The provider takes its host's functions from the bridge.
    for (const name of [PROVIDER_BRIDGE, PROVIDER]) keepLoaded(join(linkFolder(), name), constants.dlopen.RTLD_NOW | RTLD_GLOBAL);
    return undefined;
  } catch (error) {
    const [, absent] = /undefined symbol: (cu[A-Z]\w*)/.exec(errorMessage(error)) ?? [];
    if (absent === undefined) return error instanceof CudaError ? error : undefined;
    const { cudaMajor } = state.link;
    return new CudaError('CUDA_LIBRARY_INVALID', `NVIDIA's driver is too old for CUDA ${cudaMajor}: its ${DRIVER_LIBRARY} has no ${absent}`, { cause: error, hint: howToGet(DRIVER_LIBRARY, cudaMajor) });
  }
}

/** `dlopen` of a library that is no add-on of Node's: Node complains, but the library stays. */
function keepLoaded(path: string, when: number): void {
  try {
    process.dlopen({ exports: {} }, path, when | RTLD_NODELETE);
  } catch (error) {
    const file = path.startsWith('/') ? realpathSync(path) : path;
    if (readFileSync('/proc/self/maps', 'utf8').includes(file)) return;
    throw new CudaError('CUDA_LIBRARY_INVALID', `${path} cannot be loaded: ${errorMessage(error)}`, { cause: error, hint: 'Run `zk0-client cuda use` again.' });
  }
}
