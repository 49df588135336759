import { open, stat, type FileHandle } from 'node:fs/promises';
import { StorageError } from './errors.ts';
import { readFully } from './io.ts';

/** A small text that version control leaves in place of a large file. */
export interface PointerFile {
  readonly tool: 'git-lfs' | 'git-annex';
  /** Size of the file it stands for, in bytes; undefined where the pointer does not say. */
  readonly bytes: number | undefined;
}

/** Pointers are shorter than this: the specification of git-lfs says so, and git-annex writes one path. */
export const MAX_POINTER_BYTES = 1024;

/**
 * Tells whether the content of a file is a pointer of git-lfs (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md) or git-annex.
 *
 * @param content the whole file; of a longer file nothing is a pointer
 */
export function parsePointer(content: Uint8Array): PointerFile | null {
  if (content.byteLength >= MAX_POINTER_BYTES) return null;
  const text = new TextDecoder('latin1').decode(content);
  if (/^version https:\/\/(git-lfs\.github\.com|hawser\.github\.com)\/spec\/v\d/.test(text)) {
    const size = /^size (\d{1,15})\s*$/m.exec(text)?.[1];
    return { tool: 'git-lfs', bytes: size === undefined ? undefined : Number(size) };
  }
  const annex = /^(?:\.\.\/)*(?:\.git)?\/annex\/objects\/\S+/.exec(text);
  if (annex === null) return null;
  const size = /-s(\d{1,15})-/.exec(text)?.[1];
  return { tool: 'git-annex', bytes: size === undefined ? undefined : Number(size) };
}

/** What is wrong with a pointer in place of a file, and what to do: one wording for recordings and policies. */
export function describePointer(path: string, { tool, bytes }: PointerFile): { readonly message: string; readonly hint: string } {
  const size = bytes === undefined ? '' : ` of ${bytes} bytes`;
  const fetch = tool === 'git-lfs' ? 'git lfs pull' : 'git annex get .';
  return {
    message: `${path} is a ${tool} pointer, not the file${size} itself`,
    hint: `Run \`${fetch}\` in the repository that it was cloned from, or download it from the hub: hf:owner/name.`,
  };
}

/**
 * Looks whether an open file is a pointer; reads nothing where its size says that it is none.
 *
 * @param size of the file, in bytes
 */
export async function pointerIn(handle: FileHandle, size: number): Promise<PointerFile | null> {
  if (size === 0 || size >= MAX_POINTER_BYTES) return null;
  const content = new Uint8Array(size);
  return (await readFully(handle, content, 0)) ? parsePointer(content) : null;
}

/** As `pointerIn`, for a file that is not open. */
export async function pointerAt(path: string, size: number): Promise<PointerFile | null> {
  if (size === 0 || size >= MAX_POINTER_BYTES) return null;
  const handle = await open(path, 'r');
  try {
    return await pointerIn(handle, size);
  } finally {
    await handle.close();
  }
}

/**
 * Looks at files whose content nobody reads now, so that none of them is copied or published as a pointer.
 *
 * @throws StorageError `FILE_POINTER` naming the first that is one
 */
export async function refusePointerFiles(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const found = await stat(path).catch(() => null);
    const pointer = found?.isFile() === true ? await pointerAt(path, found.size) : null;
    if (pointer === null) continue;
    const { message, hint } = describePointer(path, pointer);
    throw new StorageError('FILE_POINTER', message, { hint });
  }
}

/** @throws StorageError `FILE_POINTER` where an open file is a pointer */
export async function refusePointer(path: string, handle: FileHandle, size: number): Promise<void> {
  const pointer = await pointerIn(handle, size);
  if (pointer === null) return;
  const { message, hint } = describePointer(path, pointer);
  throw new StorageError('FILE_POINTER', message, { hint });
}
