import { Readable } from 'node:stream';
import { CancelledError, errorMessage, Watchdog, type Zk0Error } from '@zk0/core';
import { EnvHttpProxyAgent, type Dispatcher } from 'undici';
import { HubError } from './errors.ts';
import { statusError } from './status-error.ts';

const CONNECT_TIMEOUT_MS = 10_000;
/** The hub redirects once or twice: to a renamed repository, to where large files are. */
const MAX_REDIRECTS = 8;
/** A connection counts as moving when this much came since it last did: a trickle is no transfer. */
const MIN_PROGRESS_BYTES = 4096;
/** Longest answer that is kept in memory: a page of a file list has under 1 MB. */
const MAX_JSON_BYTES = 32 << 20;

/** How to reach a hub. */
export interface HubHttpOptions {
  readonly endpoint: URL;
  readonly token: string | undefined;
  readonly connections: number;
  readonly noProgressMs: number;
}

/** What a request may carry. */
export interface HubRequest {
  /** What is asked for, for messages, e.g. `dataset owner/name@main`. */
  readonly about?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/** A request that carries something. */
export interface HubUpload extends HubRequest {
  readonly contentType: string;
  /** Read anew for every attempt. */
  readonly body: () => AsyncIterable<Uint8Array>;
  readonly byteLength: number;
}

/** An answer below 400. Its body must be read to the end, or discarded. */
export interface HubReply {
  readonly status: number;
  header(name: string): string | undefined;
  /** The whole body, parsed as JSON; bounded. */
  json(): Promise<unknown>;
  /** The body as it arrives; ends with a HubError when the line breaks or stalls. */
  chunks(): AsyncGenerator<Uint8Array>;
  discard(): void;
}

/** Requests to a hub: typed errors, silence noticed, redirects followed with the token left behind. */
export class HubHttp {
  readonly #endpoint: URL;
  readonly #token: string | undefined;
  readonly #noProgressMs: number;
  readonly #agent: EnvHttpProxyAgent;

  constructor(options: HubHttpOptions) {
    this.#endpoint = options.endpoint;
    this.#token = options.token;
    this.#noProgressMs = options.noProgressMs;
    // Honours HTTPS_PROXY and NO_PROXY. Silence is watched here; undici's own limits are off.
    this.#agent = new EnvHttpProxyAgent({
      connections: options.connections,
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { timeout: CONNECT_TIMEOUT_MS },
    });
  }

  /**
   * @param path - below the endpoint, encoded, with its query.
   * @throws HubError for a failed connection and for every status of 400 and above; CancelledError.
   */
  async get(path: string, request: HubRequest = {}): Promise<HubReply> {
    let url = new URL(this.#endpoint.href.replace(/\/$/, '') + path);
    for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
      const reply = await this.#send(url, request);
      if (![301, 302, 303, 307, 308].includes(reply.status)) return reply;
      reply.discard();
      url = redirectTarget(url, reply.header('location'));
    }
    throw new HubError('HUB_PROTOCOL', `${this.#endpoint.host} redirects without end`, { hint: 'Check HF_ENDPOINT.' });
  }

  /**
   * Sends JSON.
   *
   * @param path - below the endpoint, encoded, or a whole address that the hub named.
   * @throws as {@link get}; redirects are not followed.
   */
  async post(path: string, value: unknown, request: HubRequest = {}, contentType = 'application/json'): Promise<HubReply> {
    const bytes = Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
    return this.upload('POST', path, { ...request, contentType, body: () => once(bytes), byteLength: bytes.byteLength });
  }

  /** Sends a body as it is read. @throws as {@link get}; redirects are not followed. */
  async upload(method: 'POST' | 'PUT', path: string, request: HubUpload): Promise<HubReply> {
    const reply = await this.#send(this.#address(path), request, method, request);
    if (reply.status < 300) return reply;
    reply.discard();
    throw new HubError('HUB_PROTOCOL', `${this.#endpoint.host} redirects an upload`, { hint: 'Check HF_ENDPOINT and the name of the repository.' });
  }

  /** Where a path of ours, or an address that the hub named, is. */
  #address(path: string): URL {
    if (path.startsWith('/')) return new URL(this.#endpoint.href.replace(/\/$/, '') + path);
    return redirectTarget(this.#endpoint, path);
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #send(url: URL, { about = 'the request', headers = {}, signal }: HubRequest, method: 'GET' | 'POST' | 'PUT' = 'GET', upload?: HubUpload): Promise<HubReply> {
    const isHub = url.origin === this.#endpoint.origin;
    const stalled = new AbortController();
    const watchdog = new Watchdog(this.#noProgressMs, () => {
      stalled.abort();
    });
    const fail = (cause: unknown): Zk0Error => {
      watchdog.stop();
      if (signal?.aborted === true) return new CancelledError(upload === undefined ? 'the download' : 'the upload', { cause });
      if (stalled.signal.aborted) {
        return new HubError('HUB_STALLED', `${url.host}: nothing moved for ${this.#noProgressMs / 1000} s`, {
          hint: upload === undefined ? 'Check the network; the download goes on where it stopped.' : 'Check the network and try again; files that arrived are not sent again.',
        });
      }
      return new HubError('HUB_UNREACHABLE', `${url.host}: the connection failed (${causeText(cause)})`, {
        hint: upload === undefined ? 'Check the network, HTTPS_PROXY and HF_ENDPOINT; downloads go on where they stopped.' : 'Check the network, HTTPS_PROXY and HF_ENDPOINT, and try again; files that arrived are not sent again.',
      });
    };
    let reply: Dispatcher.ResponseData;
    try {
      reply = await this.#agent.request({
        origin: url.origin,
        path: url.pathname + url.search,
        method,
        ...(upload === undefined ? {} : { body: Readable.from(watched(upload.body(), watchdog)) }),
        headers: {
          'user-agent': `zk0-hub; node/${process.versions.node}`,
          // Sizes are checked, so bodies come as they are.
          'accept-encoding': 'identity',
          // The token is the hub's alone: where large files are kept, addresses are signed.
          ...(isHub && this.#token !== undefined ? { authorization: `Bearer ${this.#token}` } : {}),
          ...(upload === undefined ? {} : { 'content-type': upload.contentType, 'content-length': String(upload.byteLength) }),
          ...headers,
        },
        signal: signal === undefined ? stalled.signal : AbortSignal.any([signal, stalled.signal]),
      });
    } catch (cause) {
      throw fail(cause);
    }
    watchdog.touch();
    const discard = (): void => {
      watchdog.stop();
      // What is destroyed before it was read reports an error that nobody waits for.
      reply.body.on('error', () => undefined).destroy();
    };
    const header = (name: string): string | undefined => {
      const value = reply.headers[name];
      return typeof value === 'string' ? value : value?.[0];
    };
    if (reply.statusCode >= 400) {
      discard();
      throw statusError(reply.statusCode, header, { host: url.host, isHub, hasToken: this.#token !== undefined, about });
    }
    const chunks = (): AsyncGenerator<Uint8Array> => received(reply.body, watchdog, fail);
    return { status: reply.statusCode, header, json: () => readJson(chunks(), url.host), chunks, discard };
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}

/** What is taken from a body shows that the connection moves. */
async function* watched(body: AsyncIterable<Uint8Array>, watchdog: Watchdog): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    watchdog.touch();
    yield chunk;
  }
}

async function* received(body: Readable, watchdog: Watchdog, fail: (cause: unknown) => Zk0Error): AsyncGenerator<Uint8Array> {
  let moved = 0;
  try {
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      moved += chunk.byteLength;
      if (moved >= MIN_PROGRESS_BYTES) {
        watchdog.touch();
        moved = 0;
      }
      yield chunk;
    }
  } catch (cause) {
    throw fail(cause);
  } finally {
    watchdog.stop();
  }
}

async function readJson(chunks: AsyncIterable<Uint8Array>, host: string): Promise<unknown> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.byteLength;
    if (size > MAX_JSON_BYTES) throw new HubError('HUB_PROTOCOL', `${host} answers with more than ${MAX_JSON_BYTES} bytes of JSON`);
    parts.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString('utf8'));
  } catch {
    throw new HubError('HUB_PROTOCOL', `${host} answers with something that is no JSON`, {
      hint: 'Check HF_ENDPOINT; a proxy or a login page may stand in between.',
    });
  }
}

function redirectTarget(from: URL, location: string | undefined): URL {
  const target = location !== undefined && URL.canParse(location, from.href) ? new URL(location, from) : null;
  if (target === null || !/^https?:$/.test(target.protocol) || (from.protocol === 'https:' && target.protocol !== 'https:')) {
    throw new HubError('HUB_PROTOCOL', `${from.host} redirects to an address that is not followed`, { hint: 'Check HF_ENDPOINT.' });
  }
  return target;
}

/** Node wraps what went wrong with several addresses into one error. */
function causeText(cause: unknown): string {
  const one: unknown = cause instanceof AggregateError ? cause.errors[0] : cause;
  return (one as NodeJS.ErrnoException | null)?.code ?? errorMessage(one);
}
