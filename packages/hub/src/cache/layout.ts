import { mkdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileError, writeFileAtomic } from '@zk0/storage';
import { isCommit, type Repository } from '../api.ts';

/**
 * Where a repository's files are in the cache, as huggingface_hub lays them out:
 *
 *     models--owner--name/blobs/<etag>, refs/<revision>, snapshots/<commit>/<path>
 */
export class CacheLayout {
  readonly #repository: string;
  /** Content, each under its etag. */
  readonly blobs: string;
  /** Who is downloading what. */
  readonly locks: string;

  constructor(cacheDirectory: string, { type, name }: Repository) {
    const folder = `${type}s--${name.replace('/', '--')}`;
    this.#repository = join(cacheDirectory, folder);
    this.blobs = join(this.#repository, 'blobs');
    this.locks = join(cacheDirectory, '.locks', folder);
  }

  snapshot(commit: string): string {
    return join(this.#repository, 'snapshots', commit);
  }

  /** The commit that a revision was at when it was last looked up; null where it never was. */
  async readRef(revision: string): Promise<string | null> {
    if (isCommit(revision)) return revision;
    const text = await readFile(this.#ref(revision), 'utf8').catch(() => '');
    return isCommit(text.trim()) ? text.trim() : null;
  }

  /** Remembers the commit of a branch or tag. @throws StorageError */
  async writeRef(revision: string, commit: string): Promise<void> {
    if (isCommit(revision) || (await this.readRef(revision)) === commit) return;
    const path = this.#ref(revision);
    try {
      await mkdir(dirname(path), { recursive: true });
    } catch (error) {
      throw fileError('write', path, error);
    }
    await writeFileAtomic(path, commit);
  }

  #ref(revision: string): string {
    return join(this.#repository, 'refs', ...revision.split('/'));
  }
}

/** Size of a file, links followed; null where there is none. */
export async function sizeOf(path: string): Promise<number | null> {
  const found = await stat(path).catch(() => null);
  return found?.isFile() === true ? found.size : null;
}
