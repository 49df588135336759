import { readFile } from 'node:fs/promises';
import { retry } from '@zk0/core';
import * as z from 'zod';
import { FileList, listPage, resolveCommit, type Repository } from '../api.ts';
import { HubError } from '../errors.ts';
import type { HubHttp, HubRequest } from '../http.ts';
import type { HubFile } from '../repository-files.ts';
import type { RetrySettings } from '../retry-settings.ts';
import { describeFile, type LocalFile } from './local-file.ts';
import { uploadLarge } from './upload-large.ts';

/** A file to push. */
export interface PushFile {
  /** Where it goes in the repository, with forward slashes. */
  readonly path: string;
  /** The file on this machine, or its content. */
  readonly content: string | Uint8Array;
}

/** How far a push is. */
export interface PushProgress {
  readonly phase: 'hashing' | 'uploading' | 'committing' | 'verifying';
  /** Bytes of the phase. */
  readonly done: number;
  readonly total: number;
}

/** What to push. */
export interface PushOptions {
  readonly files: readonly PushFile[];
  /** First line of the commit. */
  readonly message: string;
  /** Name of a tag for the commit. */
  readonly tag?: string;
  /** A repository that is created is for its owner alone. */
  readonly private?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: PushProgress) => void;
}

/** What a push came to. */
export interface PushedRepository {
  readonly commit: string;
  /** Its page. */
  readonly url: string;
  /** Files that differed from what the repository had. */
  readonly changed: readonly string[];
  /** Bytes of large files that were sent; what the hub had already is not. */
  readonly sentBytes: number;
}

/** What a push works with. */
export interface PushContext {
  readonly http: HubHttp;
  readonly retries: RetrySettings;
  readonly endpoint: URL;
}

const BRANCH = 'main';
/** So many files are asked about at a time. */
const PREUPLOAD_FILES = 256;
/** A commit carries its small files: a file that the hub wants in it and that is larger than this is no small file. */
const MAX_INLINE_BYTES = 32 << 20;

const preuploadSchema = z.object({ files: z.array(z.object({ path: z.string(), uploadMode: z.enum(['lfs', 'regular']) })) });
const commitSchema = z.looseObject({ commitOid: z.string().regex(/^[0-9a-f]{40}$/) });

/** See `Hub.push`. */
export async function pushFiles(repository: Repository, options: PushOptions, context: PushContext): Promise<PushedRepository> {
  const { signal, onProgress = () => undefined } = options;
  const push = new Push(repository, options, context);
  let hashed = 0;
  const files: LocalFile[] = [];
  for (const file of options.files) {
    files.push(await describeFile(file));
    hashed += files.at(-1)!.size;
    onProgress({ phase: 'hashing', done: hashed, total: hashed });
  }
  try {
    await push.create();
    const changed = await push.differing(files);
    let sentBytes = 0;
    if (changed.length > 0) {
      const modes = await push.modes(changed);
      const large = changed.filter(({ path }) => modes.get(path) === 'lfs');
      const total = large.reduce((sum, { size }) => sum + size, 0);
      for (const file of large) {
        const before = sentBytes;
        sentBytes += await uploadLarge(repository, file, BRANCH, { ...context, signal, onBytes: (done) => { onProgress({ phase: 'uploading', done: before + done, total }); } });
      }
      onProgress({ phase: 'committing', done: 0, total: 0 });
      await push.commit(changed, modes, files);
    }
    onProgress({ phase: 'verifying', done: 0, total: 0 });
    const commit = await push.verify(files);
    if (options.tag !== undefined) await push.tag(options.tag, commit);
    return { commit, url: `${context.endpoint.href.replace(/\/$/, '')}/${repository.name}`, changed: changed.map(({ path }) => path), sentBytes };
  } catch (error) {
    throw forWriting(error, repository);
  }
}

/** The steps of one push. */
class Push {
  readonly #repository: Repository;
  readonly #options: PushOptions;
  readonly #context: PushContext;
  readonly #request: HubRequest;
  readonly #api: string;

  constructor(repository: Repository, options: PushOptions, context: PushContext) {
    this.#repository = repository;
    this.#options = options;
    this.#context = context;
    this.#request = { about: `${repository.type} ${repository.name}`, signal: options.signal };
    this.#api = `/api/${repository.type}s/${repository.name}`;
  }

  /** Creates the repository; one that exists stays as it is. */
  async create(): Promise<void> {
    const [organization, name] = this.#repository.name.split('/');
    const visibility = this.#options.private === true ? { visibility: 'private' } : {};
    const type = this.#repository.type === 'model' ? {} : { type: this.#repository.type };
    try {
      await this.#post('creating the repository', '/api/repos/create', { name, organization, ...type, ...visibility });
    } catch (error) {
      if (error instanceof HubError && error.status === 409) return;
      // A token may be allowed to write to this one repository only.
      if (!(error instanceof HubError) || error.code !== 'HUB_FORBIDDEN' || !(await this.#exists())) throw error;
    }
  }

  /** The files that the branch has not, or has otherwise. */
  async differing(files: readonly LocalFile[]): Promise<LocalFile[]> {
    const held = await this.#held(await this.#head());
    return files.filter((file) => !isHeld(file, held.get(file.path)));
  }

  /** Where each file's content is to go: into the commit, or to where large files are. */
  async modes(files: readonly LocalFile[]): Promise<ReadonlyMap<string, 'lfs' | 'regular'>> {
    const modes = new Map<string, 'lfs' | 'regular'>();
    for (let at = 0; at < files.length; at += PREUPLOAD_FILES) {
      const asked = files.slice(at, at + PREUPLOAD_FILES);
      const value = { files: asked.map(({ path, sample, size }) => ({ path, sample: Buffer.from(sample).toString('base64'), size })) };
      const parsed = preuploadSchema.safeParse(await this.#post('asking how to upload', `${this.#api}/preupload/${BRANCH}`, value));
      if (!parsed.success) throw protocol('how the files are to be uploaded');
      for (const { path, uploadMode } of parsed.data.files) modes.set(path, uploadMode);
    }
    for (const { path, size } of files) {
      const mode = modes.get(path);
      if (mode === undefined || (mode === 'regular' && size > MAX_INLINE_BYTES)) throw protocol(`how ${path} is to be uploaded`);
      // Nothing cannot be kept apart.
      if (size === 0) modes.set(path, 'regular');
    }
    return modes;
  }

  /** Adds what differs, in one commit. When its answer is lost, what the branch has by then decides whether it is sent again. */
  async commit(changed: readonly LocalFile[], modes: ReadonlyMap<string, 'lfs' | 'regular'>, files: readonly LocalFile[]): Promise<void> {
    const lines: unknown[] = [{ key: 'header', value: { summary: this.#options.message, description: '' } }];
    for (const file of changed) {
      const { path, sha256, size, content } = file;
      if (modes.get(path) === 'lfs') lines.push({ key: 'lfsFile', value: { path, algo: 'sha256', oid: sha256, size } });
      else lines.push({ key: 'file', value: { path, encoding: 'base64', content: Buffer.from(typeof content === 'string' ? await readFile(content) : content).toString('base64') } });
    }
    const body = `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`;
    let attempts = 0;
    await this.#retry('committing', async () => {
      if (attempts++ > 0 && (await this.differing(files)).length === 0) return;
      const reply = await this.#context.http.post(`${this.#api}/commit/${BRANCH}`, body, this.#request, 'application/x-ndjson');
      if (!commitSchema.safeParse(await reply.json()).success) throw protocol('a commit');
    });
  }

  /** The newest commit, whose files are as they were meant to be. @throws HubError `HUB_CONTENT` where one is not. */
  async verify(files: readonly LocalFile[]): Promise<string> {
    const commit = await this.#head();
    const held = await this.#held(commit);
    const wrong = files.find((file) => !isHeld(file, held.get(file.path)));
    if (wrong === undefined) return commit;
    throw new HubError('HUB_CONTENT', `${this.#repository.name}@${commit.slice(0, 12)}: ${wrong.path} is not what was uploaded`, {
      hint: 'Somebody else may be pushing to it; try again.',
    });
  }

  /** Names the commit. A tag that names it already is left; one that names another is an error. */
  async tag(tag: string, commit: string): Promise<void> {
    try {
      await this.#post('tagging', `${this.#api}/tag/${commit}`, { tag });
    } catch (error) {
      if (!(error instanceof HubError) || error.status !== 409) throw error;
      const named = await resolveCommit(this.#context.http, this.#repository, tag, this.#options.signal);
      if (named === commit) return;
      throw new HubError('HUB_REFUSED', `${this.#repository.name} has a tag ${tag} already, of another commit (${named.slice(0, 12)})`, {
        hint: 'Choose another name with --tag.',
      });
    }
  }

  async #exists(): Promise<boolean> {
    try {
      await this.#head();
      return true;
    } catch {
      return false;
    }
  }

  #head(): Promise<string> {
    return this.#retry('looking up the repository', () => resolveCommit(this.#context.http, this.#repository, BRANCH, this.#options.signal));
  }

  /** What a commit holds, by path. */
  async #held(commit: string): Promise<FileList['files']> {
    const list = new FileList();
    do {
      list.add(
        await this.#retry('listing the repository', () =>
          listPage(this.#context.http, this.#repository, { commit, folder: '', recursive: true }, list.cursor, this.#options.signal),
        ),
      );
    } while (list.cursor !== null);
    return list.files;
  }

  async #post(what: string, path: string, value: unknown): Promise<unknown> {
    return this.#retry(what, async () => {
      const reply = await this.#context.http.post(path, value, this.#request);
      // What is created or tagged may be answered without a body.
      if (!path.includes('/tag/') && !path.endsWith('/create')) return reply.json();
      reply.discard();
      return undefined;
    });
  }

  #retry<T>(what: string, attempt: () => Promise<T>): Promise<T> {
    return retry(`${what} (${this.#repository.name})`, this.#options.signal, attempt, this.#context.retries.policy());
  }
}

/** Whether the repository has a file as it is here: by SHA-256 where it keeps it apart, else by git's hash. */
function isHeld({ size, sha256, gitHash }: LocalFile, held: HubFile | undefined): boolean {
  return held?.size === size && held.etag === (held.etag.length === 64 ? sha256 : gitHash);
}

const REFUSED: ReadonlySet<string> = new Set(['HUB_FORBIDDEN', 'HUB_UNAUTHORIZED']);

function protocol(what: string): HubError {
  return new HubError('HUB_PROTOCOL', `the hub does not say ${what}`, { hint: 'Check HF_ENDPOINT.' });
}

/** Hints for reading do not help who writes. */
function forWriting(error: unknown, { name }: Repository): unknown {
  if (!(error instanceof HubError) || !REFUSED.has(error.code)) return error;
  return new HubError(error.code, error.message, { cause: error, hint: `Use a token (HF_TOKEN) that may write to ${name}.` });
}
