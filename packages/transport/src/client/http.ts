import { Readable } from 'node:stream';
import { CancelledError, errorMessage, Watchdog, Zk0Error } from '@zk0/core';
import { Agent, type Dispatcher } from 'undici';
import { isTransportErrorCode, RemoteError, TransportError } from '../errors.ts';
import { decodeError } from '../protocol/codec.ts';
import { CONTENT_DIGEST, contentDigest, matchesDigest } from '../protocol/digest.ts';
import { isLoopback } from '../protocol/http.ts';
import { errorReplySchema, MAX_MESSAGE_BYTES, type ErrorReply } from '../protocol/messages.ts';
import type { RequestSigner } from '../signature/sign.ts';
import { withRetryAfter } from './retry.ts';
import type { ClientTls } from './types.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const DEFAULT_NO_PROGRESS_MS = 60_000;

/** How to reach a server, for clients and operators alike. */
export interface HttpOptions {
  readonly url: string;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** An operator's credential; never sent over plain HTTP to another machine unless `allowInsecure`. */
  readonly token?: string | undefined;
  /** Signs each request. */
  readonly sign?: RequestSigner | undefined;
  readonly tls?: ClientTls;
  readonly allowInsecure?: boolean;
  readonly noProgressMs?: number;
}

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PATCH';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>;
  readonly signal?: AbortSignal | undefined;
}

/** A reply whose status was not an error. Its body must be read to the end, or discarded. */
export interface HttpReply {
  readonly status: number;
  header(name: string): string | undefined;
  /** The whole body, bounded. */
  bytes(): Promise<Uint8Array>;
  /** The body as it arrives; ends with an error of this package when the line breaks or stalls. */
  chunks(): AsyncGenerator<Uint8Array>;
  /** Gives up on what is left of the body. */
  discard(): void;
}

/**
 * One peer's HTTP/1.1 line to a server: typed errors, no progress noticed in both directions, bytes counted.
 */
export class Http {
  readonly #origin: string;
  readonly #prefix: string;
  readonly #agent: Agent;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #sign: RequestSigner | undefined;
  readonly #noProgressMs: number;
  readonly #onContact: () => void;
  bytesUp = 0;
  bytesDown = 0;

  constructor(options: HttpOptions, onContact: () => void = () => undefined) {
    const url = parseUrl(options);
    this.#origin = url.origin;
    this.#prefix = url.pathname.replace(/\/$/, '');
    this.#headers = { ...options.headers, ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }) };
    this.#sign = options.sign;
    this.#noProgressMs = options.noProgressMs ?? DEFAULT_NO_PROGRESS_MS;
    this.#onContact = onContact;
    // Silence is watched here, over request and reply together; undici's own limits are off.
    this.#agent = new Agent({
      allowH2: false,
      pipelining: 1,
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { timeout: CONNECT_TIMEOUT_MS, ...options.tls },
    });
  }

  /**
   * @throws TransportError or RemoteError for a failed connection and for every status of 400 and above;
   * CancelledError when the signal aborts.
   */
  async send({ method, path, headers = {}, body, signal }: HttpRequest): Promise<HttpReply> {
    const stalled = new AbortController();
    const watchdog = new Watchdog(this.#noProgressMs, () => {
      stalled.abort();
    });
    const fail = (cause: unknown): Zk0Error => {
      watchdog.stop();
      if (signal?.aborted === true) return new CancelledError(`${method} ${path}`, { cause });
      if (stalled.signal.aborted) {
        return new TransportError('NO_PROGRESS', `${this.#origin}: nothing moved for ${this.#noProgressMs / 1000} s`, {
          cause,
          hint: 'Check the network; the transfer goes on where it stopped.',
        });
      }
      return connectionError(this.#origin, cause);
    };
    let reply: Dispatcher.ResponseData;
    try {
      reply = await this.#agent.request({
        origin: this.#origin,
        path: this.#prefix + path,
        method,
        headers: this.#head(method, path, headers, body),
        ...(body === undefined ? {} : { body: this.#counted(body, watchdog) }),
        // "Still at work" (102): a sign of life, as good as a byte.
        onInfo: () => {
          watchdog.touch();
        },
        signal: signal === undefined ? stalled.signal : AbortSignal.any([signal, stalled.signal]),
      });
    } catch (cause) {
      throw fail(cause);
    }
    watchdog.touch();
    this.#onContact();
    const chunks = (): AsyncGenerator<Uint8Array> => this.#received(reply.body, watchdog, fail);
    const header = (name: string): string | undefined => {
      const value = reply.headers[name];
      return typeof value === 'string' ? value : value?.[0];
    };
    if (reply.statusCode >= 400) {
      const bytes = await readBounded(chunks(), MAX_MESSAGE_BYTES);
      if (method !== 'HEAD') checkDigest(this.#origin, header(CONTENT_DIGEST), bytes);
      throw withRetryAfter(replyError(reply.statusCode, bytes, method === 'HEAD'), header('retry-after'));
    }
    const bytes = async (): Promise<Uint8Array> => {
      const body = await readBounded(chunks(), MAX_MESSAGE_BYTES);
      checkDigest(this.#origin, header(CONTENT_DIGEST), body);
      return body;
    };
    const discard = (): void => {
      watchdog.stop();
      // What is destroyed before it was read reports an error that nobody waits for.
      reply.body.on('error', () => undefined).destroy();
    };
    return { status: reply.statusCode, header, bytes, chunks, discard };
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  /** What is sent beside the body: the peer's identity, a digest of what is sent whole, and the signature over all of it. */
  #head(
    method: string,
    path: string,
    given: Readonly<Record<string, string>>,
    body: HttpRequest['body'],
  ): Readonly<Record<string, string>> {
    const digest = body instanceof Uint8Array ? { [CONTENT_DIGEST]: contentDigest(body) } : {};
    const headers = { ...this.#headers, ...given, ...digest };
    return this.#sign === undefined ? headers : { ...headers, ...this.#sign({ method, target: path, headers }) };
  }

  #counted(body: Uint8Array | AsyncIterable<Uint8Array>, watchdog: Watchdog): Uint8Array | Readable {
    if (body instanceof Uint8Array) {
      this.bytesUp += body.byteLength;
      return body;
    }
    const count = async function* (this: Http): AsyncGenerator<Uint8Array> {
      for await (const chunk of body) {
        this.bytesUp += chunk.byteLength;
        // Being asked for the next piece means that this one is on its way.
        yield chunk;
        watchdog.touch();
      }
    };
    return Readable.from(count.call(this), { objectMode: false });
  }

  async *#received(body: Readable, watchdog: Watchdog, fail: (cause: unknown) => Zk0Error): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of body as AsyncIterable<Uint8Array>) {
        this.bytesDown += chunk.byteLength;
        watchdog.touch();
        yield chunk;
      }
    } catch (cause) {
      throw cause instanceof Zk0Error ? cause : fail(cause);
    } finally {
      watchdog.stop();
    }
  }
}

/** A reply without a digest is not this server's, and is judged by what it says. */
function checkDigest(origin: string, digest: string | undefined, body: Uint8Array): void {
  if (digest === undefined || matchesDigest(digest, body)) return;
  throw new TransportError('MESSAGE_DAMAGED', `${origin}: the reply does not have the digest that came with it`, {
    hint: 'It was damaged on its way; the request is repeated.',
  });
}

async function readBounded(chunks: AsyncIterable<Uint8Array>, limit: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.byteLength;
    if (size > limit) throw new TransportError('BODY_TOO_LARGE', `the server's reply is above ${limit} bytes`);
    parts.push(chunk);
  }
  return Buffer.concat(parts);
}

function parseUrl({ url, allowInsecure = false }: HttpOptions): URL {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || !/^https?:$/.test(parsed.protocol) || parsed.username !== '' || parsed.search !== '') {
    throw new TransportError('CONNECTION_FAILED', `${JSON.stringify(url)} is not a server's address`, {
      hint: 'Give it as http://host:port or https://host:port.',
    });
  }
  if (parsed.protocol === 'http:' && !isLoopback(parsed.hostname) && !allowInsecure) {
    throw new TransportError('INSECURE', `${parsed.host} would be spoken to in the clear: anyone on the way could read and change everything`, {
      hint: 'Use https://, or say --insecure where the network itself is trusted.',
    });
  }
  return parsed;
}

function connectionError(origin: string, cause: unknown): Zk0Error {
  const code = errorCode(cause);
  if (code === 'ECONNREFUSED') {
    return new TransportError('CONNECTION_REFUSED', `${origin}: nobody listens there`, {
      cause,
      hint: 'Start the server first, or check the address and port.',
    });
  }
  if (code !== undefined && CERTIFICATE_PROBLEMS.test(code)) {
    return new TransportError('CERTIFICATE_REFUSED', `${origin}: the server's certificate is not accepted (${errorMessage(cause)})`, {
      cause,
      hint: 'Check the address; for an authority of your own, give its certificate with --tls-ca.',
    });
  }
  return new TransportError('CONNECTION_FAILED', `${origin}: the connection failed (${errorMessage(cause)})`, {
    cause,
    hint: 'Check the address and the network.',
  });
}

/** What OpenSSL and Node find wrong with a server's certificate. */
const CERTIFICATE_PROBLEMS = /^(CERT_\w+|\w*SELF_SIGNED\w*|UNABLE_TO_\w+|ERR_TLS_CERT_\w+|HOSTNAME_MISMATCH|INVALID_CA|PATH_LENGTH_EXCEEDED)$/;

/** Node wraps what went wrong with several addresses into one error. */
function errorCode(cause: unknown): string | undefined {
  if (cause instanceof AggregateError) return errorCode(cause.errors[0]);
  return (cause as { code?: string } | null)?.code;
}

function replyError(status: number, bytes: Uint8Array, hasNoBody: boolean): Zk0Error {
  const reply = hasNoBody ? null : (decodeError(bytes) ?? jsonError(bytes));
  if (reply === null) {
    // Not this server's own words: a proxy, a load balancer, another program.
    return new RemoteError(`HTTP_${status}`, `the server answered with status ${status}`, status);
  }
  const hint = reply.hint === undefined ? {} : { hint: reply.hint };
  const range = reply.supported === undefined ? '' : ` (it reads versions ${reply.supported.min}…${reply.supported.max})`;
  if (isTransportErrorCode(reply.code)) return new TransportError(reply.code, reply.message + range, hint);
  return new RemoteError(reply.code, reply.message, status, hint);
}

function jsonError(bytes: Uint8Array): ErrorReply | null {
  try {
    const { error } = JSON.parse(Buffer.from(bytes).toString('utf8')) as { error?: unknown };
    return errorReplySchema.parse(error);
  } catch {
    return null;
  }
}
