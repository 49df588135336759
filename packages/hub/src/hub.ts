import { retry } from '@zk0/core';
import * as z from 'zod';
import { isCommit, resolveCommit, type Repository } from './api.ts';
import { CacheLayout } from './cache/layout.ts';
import { HubError, isPassing } from './errors.ts';
import { HubHttp } from './http.ts';
import { RetrySettings } from './retry-settings.ts';
import { readSettings, type HubOptions, type HubSettings } from './settings.ts';
import { HubSnapshot } from './snapshot.ts';
import { pushFiles, type PushedRepository, type PushOptions } from './upload/push.ts';

const CONCURRENCY = 8;
const NO_PROGRESS_MS = 30_000;

/** A hub and the cache in front of it. Close it after use. */
export class Hub {
  readonly #settings: HubSettings;
  readonly #http: HubHttp;
  readonly #retries: RetrySettings;
  readonly #concurrency: number;

  /** Use {@link openHub}. */
  constructor(settings: HubSettings, options: HubOptions) {
    this.#settings = settings;
    this.#concurrency = options.concurrency ?? CONCURRENCY;
    this.#retries = new RetrySettings(options);
    this.#http = new HubHttp({
      endpoint: settings.endpoint,
      token: settings.token,
      connections: this.#concurrency,
      noProgressMs: options.noProgressMs ?? NO_PROGRESS_MS,
    });
  }

  /**
   * A repository at the commit that a branch, tag or commit names now. No file is fetched yet.
   *
   * Offline, or when the hub cannot be reached, it is the commit that the revision was at when it was last looked up; the
   * snapshot says so.
   *
   * @throws HubError, CancelledError. `HUB_OFFLINE` when offline and the revision was never looked up.
   */
  async snapshot(repository: Repository, revision = 'main', signal?: AbortSignal): Promise<HubSnapshot> {
    const layout = new CacheLayout(this.#settings.cacheDirectory, repository);
    const cached = await layout.readRef(revision);
    const { commit, offline } = await this.#resolve(repository, revision, cached, signal);
    if (offline === undefined) await layout.writeRef(revision, commit);
    const parts = { http: this.#http, layout, retries: this.#retries, concurrency: this.#concurrency, symlinks: this.#settings.symlinks };
    return new HubSnapshot({ repository, revision, commit }, parts, offline);
  }

  /**
   * Whether the hub can be asked: a line for a report, with a hint where it should and cannot.
   *
   * @throws HubError for a token that is not accepted, or an endpoint that is no hub.
   */
  async check(signal?: AbortSignal): Promise<string | { readonly attention: string; readonly hint: string }> {
    const { endpoint, offline, token, cacheDirectory } = this.#settings;
    if (offline) return `offline by HF_HUB_OFFLINE; what is in ${cacheDirectory} can be used`;
    try {
      if (token === undefined) {
        await (await this.#http.get('/api/models?limit=1', { signal })).json();
        return `${endpoint.host} answers; without a token (HF_TOKEN): public repositories only`;
      }
      const reply = await this.#http.get('/api/whoami-v2', { signal });
      const who = z.looseObject({ name: z.string().max(200) }).safeParse(await reply.json());
      return `${endpoint.host} answers; the token is ${who.success ? `${who.data.name}'s` : 'accepted'}`;
    } catch (error) {
      if (!isPassing(error)) throw error;
      return {
        attention: `not reachable (${error.message})`,
        hint: `hf: addresses work from ${cacheDirectory} only. ${error.hint ?? ''}`,
      };
    }
  }

  /**
   * Makes a repository hold these files: it is created where it is missing, what it has already is not sent again, large files go to where the
   * hub keeps them, and one commit adds everything that differs. The result is compared with what was meant, then tagged.
   *
   * @throws HubError, CancelledError; StorageError when a file cannot be read. `HUB_UNAUTHORIZED` without a token, `HUB_OFFLINE` when offline.
   */
  async push(repository: Repository, options: PushOptions): Promise<PushedRepository> {
    this.#assertWritable(repository);
    return pushFiles(repository, options, { http: this.#http, retries: this.#retries, endpoint: this.#settings.endpoint });
  }

  /**
   * Finds out early whether {@link push} could begin: there is a token, and the hub knows it. Whether it may write to the repository, only
   * writing tells.
   *
   * @throws HubError
   */
  async checkPush(repository: Repository, signal?: AbortSignal): Promise<void> {
    this.#assertWritable(repository);
    await (await this.#http.get('/api/whoami-v2', { about: `pushing to ${repository.name}`, signal })).json();
  }

  #assertWritable(repository: Repository): void {
    const { offline, token, endpoint } = this.#settings;
    if (offline) throw new HubError('HUB_OFFLINE', 'HF_HUB_OFFLINE says not to ask the hub', { hint: 'Unset HF_HUB_OFFLINE to upload.' });
    if (token === undefined) {
      throw new HubError('HUB_UNAUTHORIZED', `${endpoint.host}: there is no token to write to ${repository.name} with`, {
        hint: 'Set HF_TOKEN to a token that may write, or log in with `hf auth login`.',
      });
    }
  }

  async close(): Promise<void> {
    await this.#http.close();
  }

  async #resolve(
    repository: Repository,
    revision: string,
    cached: string | null,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly commit: string; readonly offline: HubError | undefined }> {
    if (this.#settings.offline) {
      const offline = new HubError('HUB_OFFLINE', 'HF_HUB_OFFLINE says not to ask the hub', { hint: 'Unset HF_HUB_OFFLINE to download.' });
      if (cached !== null) return { commit: cached, offline };
      throw new HubError('HUB_OFFLINE', `${repository.name}@${revision} is not in the cache, and ${offline.message}`, {
        hint: 'Unset HF_HUB_OFFLINE to download it.',
      });
    }
    // A commit never changes: there is nothing to ask.
    if (isCommit(revision)) return { commit: revision, offline: undefined };
    try {
      const commit = await retry(
        `looking up ${repository.name}@${revision}`,
        signal,
        () => resolveCommit(this.#http, repository, revision, signal),
        // Who has a copy is not kept waiting for a hub that is away.
        this.#retries.policy(cached === null ? undefined : 1),
      );
      return { commit, offline: undefined };
    } catch (error) {
      if (cached === null || !isPassing(error)) throw error;
      return { commit: cached, offline: error };
    }
  }
}

/** {@link Hub.check} of the hub that the environment names. @throws HubError */
export async function checkHub(options: HubOptions = {}): ReturnType<Hub['check']> {
  const hub = await openHub(options);
  try {
    return await hub.check();
  } finally {
    await hub.close();
  }
}

/**
 * Opens a hub: the one that `HF_ENDPOINT` names, with the cache, token and mode that huggingface_hub would use.
 *
 * @throws HubError `HUB_SETTINGS`
 */
export async function openHub(options: HubOptions = {}): Promise<Hub> {
  return new Hub(await readSettings(options), options);
}
