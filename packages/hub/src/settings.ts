import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { HubError } from './errors.ts';

/** What is given in code instead of by the environment. */
export interface HubOptions {
  /** Address of the hub; default `HF_ENDPOINT`, else https://huggingface.co. */
  readonly endpoint?: string;
  /** Access token; default `HF_TOKEN`, else the file that `hf auth login` writes. */
  readonly token?: string;
  /** Cache folder; default `HF_HUB_CACHE`, else `hub` in `HF_HOME`, which is `~/.cache/huggingface` by default. */
  readonly cacheDirectory?: string;
  /** Ask the hub nothing, use what is in the cache; default `HF_HUB_OFFLINE`. */
  readonly offline?: boolean;
  /** Files downloaded at the same time (8). */
  readonly concurrency?: number;
  /** A request fails when nothing has moved for so long, in ms (30 000). */
  readonly noProgressMs?: number;
  /** Bound of the first pause after a failure, in ms (1000). */
  readonly retryInitialMs?: number;
  /** Failures in a row, without progress, before giving up (6). */
  readonly maxFailures?: number;
  /** Told before every pause after a failure. */
  readonly onRetry?: (event: { readonly error: HubError; readonly attempt: number; readonly delayMs: number }) => void;
  /** Variables to read instead of the process's. */
  readonly environment?: NodeJS.ProcessEnv;
}

/** The hub's settings, of options and environment together. */
export interface HubSettings {
  /** Without a slash at its end. */
  readonly endpoint: URL;
  readonly token: string | undefined;
  readonly cacheDirectory: string;
  readonly offline: boolean;
  /** Whether snapshots may be links. */
  readonly symlinks: boolean;
}

const DEFAULT_ENDPOINT = 'https://huggingface.co';
const MAX_TOKEN_CHARS = 4096;

/**
 * Reads the settings by the names that huggingface_hub gives them.
 *
 * @throws HubError `HUB_SETTINGS`
 */
export async function readSettings(options: HubOptions = {}): Promise<HubSettings> {
  const environment = options.environment ?? process.env;
  const home = hubHome(environment);
  const endpoint = parseEndpoint(options.endpoint ?? nonEmpty(environment['HF_ENDPOINT']) ?? DEFAULT_ENDPOINT);
  const token = options.token ?? (await findToken(environment, home));
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
    throw new HubError('HUB_SETTINGS', 'the access token has characters that no token has', {
      hint: 'Correct HF_TOKEN, or log in again with `hf auth login`.',
    });
  }
  const cache = nonEmpty(environment['HF_HUB_CACHE']) ?? nonEmpty(environment['HUGGINGFACE_HUB_CACHE']);
  return {
    endpoint,
    // A secret does not travel in the clear, except to this machine itself.
    token: endpoint.protocol === 'https:' || isLoopback(endpoint.hostname) ? token : undefined,
    cacheDirectory: options.cacheDirectory ?? (cache === undefined ? join(home, 'hub') : expandUser(cache)),
    offline: options.offline ?? (isTrue(environment['HF_HUB_OFFLINE']) || isTrue(environment['TRANSFORMERS_OFFLINE'])),
    symlinks: !isTrue(environment['HF_HUB_DISABLE_SYMLINKS']),
  };
}

function hubHome(environment: NodeJS.ProcessEnv): string {
  const home = nonEmpty(environment['HF_HOME']);
  if (home !== undefined) return expandUser(home);
  const xdg = nonEmpty(environment['XDG_CACHE_HOME']);
  return join(xdg === undefined ? join(homedir(), '.cache') : expandUser(xdg), 'huggingface');
}

async function findToken(environment: NodeJS.ProcessEnv, home: string): Promise<string | undefined> {
  const given = nonEmpty(environment['HF_TOKEN']?.trim()) ?? nonEmpty(environment['HUGGING_FACE_HUB_TOKEN']?.trim());
  if (given !== undefined) return given;
  if (isTrue(environment['HF_HUB_DISABLE_IMPLICIT_TOKEN'])) return undefined;
  const named = nonEmpty(environment['HF_TOKEN_PATH']);
  const path = named === undefined ? join(home, 'token') : expandUser(named);
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw new HubError('HUB_SETTINGS', `the token file ${path} cannot be read`, { cause: error, hint: 'Check its permissions.' });
  });
  return nonEmpty(text.slice(0, MAX_TOKEN_CHARS).trim());
}

function parseEndpoint(text: string): URL {
  const url = URL.canParse(text) ? new URL(text.replace(/\/+$/, '')) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new HubError('HUB_SETTINGS', 'HF_ENDPOINT is no address of a hub', { hint: `Set it to https://…, or unset it for ${DEFAULT_ENDPOINT}.` });
  }
  return url;
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname);
}

function expandUser(path: string): string {
  return path.replace(/^~(?=$|[/\\])/, homedir());
}

function isTrue(value: string | undefined): boolean {
  return /^(?:1|on|yes|true)$/i.test(value ?? '');
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === '' ? undefined : value;
}
