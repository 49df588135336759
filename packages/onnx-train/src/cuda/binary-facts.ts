import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { errorMessage } from '@zk0/core/errors';
import { CudaError } from '../errors.ts';
import { parseSharedLibrary, type SharedLibrary } from './elf.ts';

/** What one pass over a library's bytes finds. */
export interface BinaryFacts {
  readonly bytes: number;
  readonly sha256: string;
  /** Texts of the form `1.30.0` between two NULs, or behind `VERS_`: onnxruntime's own version is one of them. */
  readonly versions: readonly string[];
  /** The commit it was built from, where it says so. */
  readonly commit: string | undefined;
}

const CHUNK_BYTES = 1 << 20;
/** Longer than any text that is looked for; kept from one chunk for the next. */
const OVERLAP_BYTES = 256;
const MAX_VERSIONS = 64;

/** Reads a library once: digest, versions and commit. @throws CudaError `CUDA_LIBRARY_INVALID` when it cannot be read. */
export function binaryFacts(path: string): BinaryFacts {
  return withFile(path, (descriptor, bytes) => {
    const hash = createHash('sha256');
    const versions = new Set<string>();
    let commit: string | undefined;
    const buffer = Buffer.alloc(OVERLAP_BYTES + CHUNK_BYTES);
    let kept = 0;
    for (;;) {
      const count = readSync(descriptor, buffer, kept, CHUNK_BYTES, null);
      if (count === 0) break;
      hash.update(buffer.subarray(kept, kept + count));
      const text = buffer.toString('latin1', 0, kept + count);
      for (const [, version] of text.matchAll(/(?:\0|VERS_)(\d{1,4}\.\d{1,4}\.\d{1,4})(?=\0)/g)) {
        if (versions.size < MAX_VERSIONS) versions.add(version!);
      }
      commit ??= /git-commit-id=([0-9a-f]{6,40})[^0-9a-f]/.exec(text)?.[1];
      const overlap = Math.min(OVERLAP_BYTES, kept + count);
      buffer.copyWithin(0, kept + count - overlap, kept + count);
      kept = overlap;
    }
    return { bytes, sha256: hash.digest('hex'), versions: [...versions], commit };
  });
}

/** A library's dynamic section. @throws CudaError `CUDA_LIBRARY_INVALID` */
export function sharedLibraryAt(path: string): SharedLibrary {
  return withFile(path, (descriptor, size) =>
    parseSharedLibrary(path, size, (offset, length) => {
      const bytes = Buffer.alloc(length);
      return bytes.subarray(0, readSync(descriptor, bytes, 0, length, offset));
    }),
  );
}

function withFile<T>(path: string, work: (descriptor: number, size: number) => T): T {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, 'r');
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) throw new CudaError('CUDA_LIBRARY_INVALID', `${path} is not a file`);
    return work(descriptor, stat.size);
  } catch (error) {
    if (error instanceof CudaError) throw error;
    throw new CudaError('CUDA_LIBRARY_INVALID', `${path} cannot be read: ${errorMessage(error)}`, { cause: error, hint: 'Check its permissions.' });
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
