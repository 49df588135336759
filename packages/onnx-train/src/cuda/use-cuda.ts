import { CudaError } from '../errors.ts';
import { runtimeFolder } from '../session/runtime-folder.ts';
import { binaryFacts, sharedLibraryAt } from './binary-facts.ts';
import { findCuda, type CudaInstallation, type InstalledRuntime } from './find-cuda.ts';
import { searchContext } from './folders.ts';
import { linkFolder, removeLink, writeLink, type CudaLink } from './link-file.ts';
import { installedRuntime } from './load.ts';

/** What was linked, and what was not there that is not needed for that. */
export interface CudaUse {
  readonly link: CudaLink;
  readonly absent: CudaInstallation['absent'];
  /** Where the links and their record lie. */
  readonly folder: string;
}

/**
 * Finds onnxruntime's CUDA provider and all that it needs on this machine, checks it, and links it for processes of this user that
 * start from then on: this one has loaded onnxruntime already. Nothing is downloaded.
 *
 * @param from a virtual environment, a site-packages folder or a folder of libraries; without it, the usual places are searched.
 * @throws CudaError
 */
export function useCuda(from?: string): CudaUse {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new CudaError('CUDA_UNSUPPORTED', `onnxruntime-node has no CUDA provider for ${process.platform}-${process.arch}`, { hint: 'Use --device webgpu or cpu.' });
  }
  const runtime = describeRuntime(installedRuntime());
  const found = findCuda(runtime, from, searchContext(runtimeFolder()));
  const folder = linkFolder();
  return { link: writeLink(folder, runtime.path, found), absent: found.absent, folder };
}

/** Undoes {@link useCuda}. @returns whether anything was linked. @throws CudaError `CUDA_LINK_INVALID` */
export function forgetCuda(): boolean {
  return removeLink(linkFolder());
}

/** Version and commit of onnxruntime's library, as it says itself. */
export function describeRuntime(path: string): InstalledRuntime {
  sharedLibraryAt(path);
  const { versions, commit } = binaryFacts(path);
  const [version] = versions;
  if (version === undefined) {
    throw new CudaError('CUDA_LIBRARY_INVALID', `${path} does not say its version`, { hint: 'Install zk0 again.' });
  }
  return { path, version, commit };
}
