import { describeIssue } from '@zk0/core';
import * as z from 'zod';
import { HubError } from './errors.ts';

/** A file of a repository at a commit, as the hub lists it. */
export interface HubFile {
  /** Path in the repository, `/` between its parts. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** SHA-256 of the content (large files), or git's SHA-1 of the blob; the blob's name in the cache. */
  readonly etag: string;
}

const MAX_PATH_CHARS = 1024;
const MAX_NAME_BYTES = 255;

const size = z.int().min(0);
const entrySchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('file'),
    path: z.string().max(MAX_PATH_CHARS),
    size,
    oid: z.string().regex(/^[0-9a-f]{40}$/),
    lfs: z.object({ oid: z.string().regex(/^(?:sha256:)?[0-9a-f]{64}$/), size }).nullish(),
  }),
  z.object({ type: z.literal('directory'), path: z.string().max(MAX_PATH_CHARS) }),
]);
const pageSchema = z.array(entrySchema).max(100_000);

/**
 * Reads one page of the tree endpoint; folders are left out.
 *
 * @throws HubError `HUB_PROTOCOL` for the wrong shape, and for a name that could leave the cache's folder.
 */
export function parseTreePage(value: unknown): { readonly files: readonly HubFile[]; readonly entries: number } {
  const parsed = pageSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new HubError('HUB_PROTOCOL', `the file list is malformed: ${issue?.path.join('.') ?? ''} ${issue === undefined ? '' : describeIssue(issue)}`, {
      hint: 'Check HF_ENDPOINT.',
    });
  }
  const files = parsed.data.flatMap((entry): HubFile[] => {
    assertSafePath(entry.path);
    if (entry.type === 'directory') return [];
    const { lfs } = entry;
    return [
      lfs == null
        ? { path: entry.path, size: entry.size, etag: entry.oid }
        : { path: entry.path, size: lfs.size, etag: lfs.oid.replace('sha256:', '') },
    ];
  });
  return { files, entries: parsed.data.length };
}

/**
 * Fails unless a repository's path stays below the folder it is put in, on every operating system.
 *
 * @throws HubError `HUB_PROTOCOL`
 */
export function assertSafePath(path: string): void {
  const isBad = (part: string): boolean =>
    part === '' || part === '.' || part === '..' || /^[A-Za-z]:/.test(part) || Buffer.byteLength(part) > MAX_NAME_BYTES;
  if (path.length > MAX_PATH_CHARS || /[\\\x00-\x1f\x7f]/.test(path) || path.split('/').some(isBad)) {
    throw new HubError('HUB_PROTOCOL', `the repository has a file with the unsafe name ${JSON.stringify(path.slice(0, 200))}`, {
      hint: 'Use only repositories of people you trust.',
    });
  }
}
