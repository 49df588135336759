import * as z from 'zod';
import { HubError } from './errors.ts';
import type { HubHttp } from './http.ts';
import { parseTreePage, type HubFile } from './repository-files.ts';

/** What a repository holds. */
export type RepositoryType = 'model' | 'dataset';

/** A repository on the hub. */
export interface Repository {
  readonly type: RepositoryType;
  /** `owner/name`. */
  readonly name: string;
}

/** More files than any repository of recordings or weights has. */
const MAX_FILES = 2_000_000;

const revisionSchema = z.looseObject({ sha: z.string().regex(/^[0-9a-f]{40}$/) });

/** Whether a revision is a commit already, which never changes. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

/** The commit that a branch or tag is at. @throws HubError */
export async function resolveCommit(http: HubHttp, { type, name }: Repository, revision: string, signal?: AbortSignal): Promise<string> {
  const reply = await http.get(`/api/${type}s/${name}/revision/${encodeURIComponent(revision)}?expand=sha`, {
    about: `${type} ${name}@${revision}`,
    signal,
  });
  const parsed = revisionSchema.safeParse(await reply.json());
  if (parsed.success) return parsed.data.sha;
  throw new HubError('HUB_PROTOCOL', `the hub names no commit of ${name}@${revision}`, { hint: 'Check HF_ENDPOINT.' });
}

/**
 * Lists one page of the files of a folder at a commit, without those of folders in it unless `recursive`.
 *
 * @param cursor - where the page begins; that of the page before.
 * @returns `next` is the cursor of the next page, null after the last.
 */
export async function listPage(
  http: HubHttp,
  { type, name }: Repository,
  tree: { readonly commit: string; readonly folder: string; readonly recursive: boolean },
  cursor: string | null,
  signal?: AbortSignal,
): Promise<{ readonly files: readonly HubFile[]; readonly entries: number; readonly next: string | null }> {
  const folder = tree.folder === '' ? '' : `/${encodePath(tree.folder)}`;
  const query = new URLSearchParams({ recursive: String(tree.recursive), expand: 'false' });
  if (cursor !== null) query.set('cursor', cursor);
  const reply = await http.get(`/api/${type}s/${name}/tree/${tree.commit}${folder}?${query.toString()}`, {
    about: `${type} ${name}@${tree.commit.slice(0, 12)}`,
    signal,
  });
  const page = parseTreePage(await reply.json());
  const prefix = tree.folder === '' ? '' : `${tree.folder}/`;
  const stray = page.files.find(({ path }) => !path.startsWith(prefix));
  if (stray !== undefined) throw new HubError('HUB_PROTOCOL', `the list of ${tree.folder} names ${JSON.stringify(stray.path)}`);
  return { ...page, next: nextCursor(reply.header('link')) };
}

/** Gathers pages up to the last, within bounds. */
export class FileList {
  readonly files = new Map<string, HubFile>();
  /** Where the next page begins; null before the first and after the last. */
  cursor: string | null = null;
  #entries = 0;
  readonly #cursors = new Set<string>();

  /** @throws HubError `HUB_PROTOCOL` for a list that goes in circles, names a file twice or has no end. */
  add(page: Awaited<ReturnType<typeof listPage>>): void {
    for (const file of page.files) {
      if (this.files.has(file.path)) throw new HubError('HUB_PROTOCOL', `the file list names ${file.path} twice`);
      this.files.set(file.path, file);
    }
    this.#entries += page.entries;
    const isEndless =
      this.#entries > MAX_FILES || (page.next !== null && (page.entries === 0 || this.#cursors.has(page.next)));
    if (isEndless) throw new HubError('HUB_PROTOCOL', 'the file list has no end', { hint: 'Check HF_ENDPOINT.' });
    if (page.next !== null) this.#cursors.add(page.next);
    this.cursor = page.next;
  }
}

/** Where a file's content is, below the endpoint. */
export function contentPath({ type, name }: Repository, commit: string, path: string): string {
  return `/${type === 'dataset' ? 'datasets/' : ''}${name}/resolve/${commit}/${encodePath(path)}`;
}

/** The cursor of `Link: <…?cursor=…>; rel="next"`. Only it is taken: where the next page is asked for is ours to say. */
function nextCursor(link: string | undefined): string | null {
  const url = /<([^>]*)>;\s*rel="next"/.exec(link ?? '')?.[1];
  if (url === undefined || !URL.canParse(url, 'https://hub')) return null;
  return new URL(url, 'https://hub').searchParams.get('cursor');
}

function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}
