import { readdir, statfs } from 'node:fs/promises';
import { join, posix, sep } from 'node:path';
import { errorMessage, retry } from '@zk0/core';
import { StorageError } from '@zk0/storage';
import { FileList, listPage, type Repository } from './api.ts';
import { bringBlob } from './cache/blob.ts';
import { sizeOf, type CacheLayout } from './cache/layout.ts';
import { placeInSnapshot } from './cache/pointer.ts';
import { receiveFile } from './download.ts';
import { HubError, isPassing } from './errors.ts';
import type { HubHttp } from './http.ts';
import { inParallel } from './in-parallel.ts';
import { assertSafePath, type HubFile } from './repository-files.ts';
import type { RetrySettings } from './retry-settings.ts';

/** How far fetching has come. */
export interface FetchProgress {
  readonly files: number;
  readonly totalFiles: number;
  /** Bytes of the files that were not there before, of {@link totalBytes}. */
  readonly bytes: number;
  readonly totalBytes: number;
}

/** Hooks of a fetch. */
export interface FetchHooks {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: FetchProgress) => void) | undefined;
}

/** What a snapshot works with. */
export interface SnapshotParts {
  readonly http: HubHttp;
  readonly layout: CacheLayout;
  readonly retries: RetrySettings;
  readonly concurrency: number;
  readonly symlinks: boolean;
}

/**
 * A repository at one commit, in the cache. Files come when they are asked for, each whole and verified; what is in the
 * cache already, from this package or from Python, is used as it is.
 */
export class HubSnapshot {
  readonly repository: Repository;
  /** As it was asked for: a branch, a tag or a commit. */
  readonly revision: string;
  readonly commit: string;
  /** Folder of this commit's files; it is there once one of them is. */
  readonly directory: string;
  readonly #parts: SnapshotParts;
  #offline: HubError | undefined;

  /** Use `Hub.snapshot`. */
  constructor(source: { repository: Repository; revision: string; commit: string }, parts: SnapshotParts, offline: HubError | undefined) {
    this.repository = source.repository;
    this.revision = source.revision;
    this.commit = source.commit;
    this.directory = parts.layout.snapshot(source.commit);
    this.#parts = parts;
    this.#offline = offline;
  }

  /** Why the cache alone is used: the hub is not to be asked, or could not be reached. Undefined while it answers. */
  get offline(): HubError | undefined {
    return this.#offline;
  }

  /**
   * Fetches the files below a folder (`''`: of the whole repository) that are wanted.
   *
   * @returns their paths, sorted; offline: of those that the cache has.
   * @throws HubError, StorageError, CancelledError. `HUB_OFFLINE` when offline and none is there.
   */
  async fetchFolder(folder: string, wants: (path: string) => boolean, hooks: FetchHooks = {}): Promise<readonly string[]> {
    const listed = await this.#unlessOffline(() => this.#list(folder, true, hooks.signal));
    if (listed !== null) {
      const wanted = [...listed.values()].filter(({ path }) => wants(path));
      await this.#fetch(wanted, hooks);
      return wanted.map(({ path }) => path).sort();
    }
    const entries = await readdir(join(this.directory, folder), { recursive: true }).catch(() => []);
    const paths = entries.map((entry) => posix.join(folder, entry.replaceAll(sep, '/'))).filter(wants);
    const there: string[] = [];
    for (const path of paths) if ((await sizeOf(this.#pointer(path))) !== null) there.push(path);
    if (there.length === 0) throw this.#notCached([folder === '' ? 'any file' : `any file of ${folder}`]);
    return there.sort();
  }

  /**
   * Fetches files by their paths. Nothing is asked of the hub when all are in the cache.
   *
   * @returns the paths that the repository does not have.
   * @throws HubError, StorageError, CancelledError. `HUB_OFFLINE` when offline and one is not in the cache.
   */
  async fetchPaths(paths: Iterable<string>, hooks: FetchHooks = {}): Promise<readonly string[]> {
    const absent: string[] = [];
    for (const path of new Set(paths)) {
      assertSafePath(path);
      if ((await sizeOf(this.#pointer(path))) === null) absent.push(path);
    }
    if (absent.length === 0) return [];
    const folders = [...new Set(absent.map((path) => posix.dirname(path)))].map((folder) => (folder === '.' ? '' : folder));
    const known = new Map<string, HubFile>();
    const isListed = await this.#unlessOffline(async () => {
      await inParallel(folders, this.#parts.concurrency, hooks.signal, async (folder, signal) => {
        for (const [path, file] of await this.#list(folder, false, signal)) known.set(path, file);
      });
      return true;
    });
    if (isListed === null) throw this.#notCached(absent);
    await this.#fetch(absent.flatMap((path) => known.get(path) ?? []), hooks);
    return absent.filter((path) => !known.has(path));
  }

  /** Lists files; a folder that does not exist has none. */
  async #list(folder: string, recursive: boolean, signal: AbortSignal | undefined): Promise<ReadonlyMap<string, HubFile>> {
    const { http, retries } = this.#parts;
    const list = new FileList();
    const page = (): ReturnType<typeof listPage> =>
      listPage(http, this.repository, { commit: this.commit, folder, recursive }, list.cursor, signal);
    try {
      do list.add(await retry(`listing ${this.repository.name}`, signal, page, retries.policy()));
      while (list.cursor !== null);
    } catch (error) {
      if (error instanceof HubError && error.code === 'HUB_FILE_MISSING') return new Map();
      throw error;
    }
    return list.files;
  }

  /** Brings files into the cache and under their names, several at a time. */
  async #fetch(files: readonly HubFile[], { signal, onProgress }: FetchHooks): Promise<void> {
    const absent: HubFile[] = [];
    for (const file of files) if ((await sizeOf(this.#pointer(file.path))) !== file.size) absent.push(file);
    if (absent.length === 0) return;
    await this.#assertSpace(absent);
    const { http, layout, retries, concurrency, symlinks } = this.#parts;
    const arrived = new Map<string, number>();
    const totalBytes = absent.reduce((sum, { size }) => sum + size, 0);
    let [done, bytes] = [0, 0];
    const tell = (file: HubFile, now: number): void => {
      bytes += now - (arrived.get(file.path) ?? 0);
      arrived.set(file.path, now);
      onProgress?.({ files: done, totalFiles: absent.length, bytes, totalBytes });
    };
    await inParallel(absent, concurrency, signal, async (file, one) => {
      const source = { repository: this.repository, commit: this.commit, file };
      const { path, isNew } = await bringBlob(
        layout,
        file,
        (partial) => receiveFile(http, source, partial, retries, { signal: one, onBytes: (now) => { tell(file, now); } }),
        one,
      );
      await placeInSnapshot(path, this.#pointer(file.path), { isNew, symlinks });
      done++;
      tell(file, file.size);
    });
  }

  async #assertSpace(files: readonly HubFile[]): Promise<void> {
    const { blobs } = this.#parts.layout;
    let needed = 0;
    for (const { etag, size } of files) {
      if ((await sizeOf(join(blobs, etag))) !== size) needed += size - Math.min(size, (await sizeOf(join(blobs, `${etag}.incomplete`))) ?? 0);
    }
    const free = await freeBytes(blobs);
    if (free !== null && needed > free) {
      throw new StorageError('DISK_FULL', `${this.repository.name}: ${needed} bytes are to be downloaded to ${blobs}, ${free} are free`, {
        hint: 'Free disk space, or set HF_HUB_CACHE to a folder on another disk.',
      });
    }
  }

  /** Does `ask`; null when offline. A hub that cannot be reached is offline from then on, if the cache has this commit. */
  async #unlessOffline<T>(ask: () => Promise<T>): Promise<T | null> {
    if (this.#offline !== undefined) return null;
    try {
      return await ask();
    } catch (error) {
      const isCached = (await readdir(this.directory).catch(() => [])).length > 0;
      if (!isPassing(error) || !isCached) throw error;
      this.#offline = error;
      return null;
    }
  }

  #pointer(path: string): string {
    return join(this.directory, ...path.split('/'));
  }

  #notCached(missing: readonly string[]): HubError {
    const { name } = this.repository;
    const more = missing.length > 3 ? ` and ${missing.length - 3} more` : '';
    return new HubError('HUB_OFFLINE', `${name}@${this.revision}: the cache lacks ${missing.slice(0, 3).join(', ')}${more}, and ${errorMessage(this.#offline)}`, {
      cause: this.#offline,
      hint: this.#offline?.hint ?? 'Connect to the hub once.',
    });
  }
}

/** Space on the disk of a folder, or of the nearest folder above that exists. */
async function freeBytes(folder: string): Promise<number | null> {
  for (let at = folder; ; at = join(at, '..')) {
    const found = await statfs(at).catch(() => null);
    if (found !== null) return found.bavail * found.bsize;
    if (at === join(at, '..')) return null;
  }
}
