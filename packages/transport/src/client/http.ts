import { getDefaultHighWaterMark, Readable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { CancelledError, errorMessage, Watchdog, Zk0Error } from '@zk0/core';
import type { Dispatcher } from 'undici';
import { ForeignAnswerError, isTransportErrorCode, RemoteError, TransportError } from '../errors.ts';
import { decodeError, versionRange } from '../protocol/codec.ts';
import { receivedChunks } from '../protocol/chunks.ts';
import { CONTENT_DIGEST, contentDigest, matchesDigest } from '../protocol/digest.ts';
import { isLoopback, PROTOCOL_HEADER } from '../protocol/http.ts';
import { errorReplySchema, MAX_MESSAGE_BYTES, PROTOCOL_VERSION, type ErrorReply } from '../protocol/messages.ts';
import type { RequestSigner } from '../signature/sign.ts';
import { createDispatcher, type ProxyEnvironment } from './dispatcher.ts';
import { causeCode, withRetryAfter } from './retry.ts';
import type { ClientTls } from './types.ts';

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
  /** Names the proxies (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`); default: the environment of the process. */
  readonly proxyEnvironment?: ProxyEnvironment;
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
  readonly #agent: Dispatcher;
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
    this.#agent = createDispatcher(url, options.tls, options.proxyEnvironment ?? process.env);
  }

  /**
   * @throws TransportError or RemoteError for a failed connection and for every refusal of the server; ForeignAnswerError for an answer
   * of somebody else; CancelledError when the signal aborts.
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
        signal: signal === undefined ? stalled.signal : AbortSignal.any([signal, stalled.signal]),
      });
    } catch (cause) {
      throw fail(cause);
    }
    watchdog.touch();
    const chunks = (): AsyncGenerator<Uint8Array> => this.#received(reply.body, watchdog, fail);
    const header = (name: string): string | undefined => {
      const value = reply.headers[name];
      return typeof value === 'string' ? value : value?.[0];
    };
    const bytes = async (): Promise<Uint8Array> => {
      const body = await readBounded(chunks(), MAX_MESSAGE_BYTES);
      // The connection is free again after a turn of the event loop: who asks sooner opens another one, and keeps both.
      await turn();
      checkDigest(this.#origin, header(CONTENT_DIGEST), body);
      return body;
    };
    const discard = (): void => {
      watchdog.stop();
      // What is destroyed before it was read reports an error that nobody waits for.
      reply.body.on('error', () => undefined).destroy();
    };
    const marked = header(PROTOCOL_HEADER) !== undefined;
    if (marked && reply.statusCode < 300) {
      this.#onContact();
    } else {
      const body = await readUpTo(chunks(), MAX_MESSAGE_BYTES);
      if (marked && method !== 'HEAD') checkDigest(this.#origin, header(CONTENT_DIGEST), body);
      const error = refusal(marked, reply.statusCode, body);
      if (error !== null) this.#onContact();
      throw withRetryAfter(error ?? new ForeignAnswerError(this.#origin, reply.statusCode, header('content-type')), header('retry-after'));
    }
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
        // A socket asks for more while it still has less than this to send; the memory of a chunk may be used again by then.
        yield chunk.byteLength < getDefaultHighWaterMark(false) ? chunk.slice() : chunk;
        // Being asked for the next piece means that this one is on its way.
        watchdog.touch();
      }
    };
    // Reads one chunk ahead of the socket, and no further.
    return Readable.from(count.call(this), { objectMode: false, highWaterMark: 1 });
  }

  async *#received(body: Readable, watchdog: Watchdog, fail: (cause: unknown) => Zk0Error): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of receivedChunks(body)) {
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

/** Every message of a server comes with a digest: without one, the head of the answer was damaged. */
function checkDigest(origin: string, digest: string | undefined, body: Uint8Array): void {
  if (digest !== undefined && matchesDigest(digest, body)) return;
  throw new TransportError('MESSAGE_DAMAGED', `${origin}: the reply does not have the digest that belongs to it`, {
    hint: 'It was damaged on its way; the request is repeated.',
  });
}

/** The body when it is as short as a message; a longer one is none, and nothing of it is wanted. */
async function readUpTo(chunks: AsyncIterable<Uint8Array>, limit: number): Promise<Uint8Array> {
  try {
    return await readBounded(chunks, limit);
  } catch (error) {
    if (error instanceof TransportError && error.code === 'BODY_TOO_LARGE') return new Uint8Array(0);
    throw error;
  }
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
  const code = causeCode(cause);
  if (code === 'ECONNREFUSED') {
    return new TransportError('CONNECTION_REFUSED', `${origin}: nobody listens there`, {
      cause,
      hint: 'Start the server first, or check the address and port.',
    });
  }
  if (code !== undefined && CERTIFICATE_PROBLEMS.test(code)) {
    return new TransportError('CERTIFICATE_REFUSED', `${origin}: the server's certificate is not accepted: ${certificateProblem(code, cause)}`, {
      cause,
      hint: 'Check the address; for an authority of your own, give its certificate with --tls-ca.',
    });
  }
  return new TransportError('CONNECTION_FAILED', `${origin}: the connection failed (${errorMessage(cause)})`, {
    cause,
    hint: origin.startsWith('https:')
      ? 'Check the address, the network and the certificates of both sides.'
      : 'Check the address and the network.',
  });
}

/** Says what is wrong with a certificate in words of this package: Node's own end in advice on how to start Node. */
function certificateProblem(code: string, cause: unknown): string {
  if (/SELF_SIGNED|UNABLE_TO|INVALID_CA/.test(code)) return 'no authority that this machine trusts has signed it';
  if (/ALTNAME|HOSTNAME/.test(code)) return 'it is for another name';
  if (code === 'CERT_HAS_EXPIRED') return 'it has expired';
  if (code === 'CERT_NOT_YET_VALID') return 'it is not valid yet';
  return errorMessage(cause).split(';')[0]!;
}

/** What OpenSSL and Node find wrong with a server's certificate. */
const CERTIFICATE_PROBLEMS = /^(CERT_\w+|\w*SELF_SIGNED\w*|UNABLE_TO_\w+|ERR_TLS_CERT_\w+|HOSTNAME_MISMATCH|INVALID_CA|PATH_LENGTH_EXCEEDED)$/;

/**
 * What the server said no with; null when it was not the server who said it. The layout of an error message holds across versions, also
 * of those that marked no answers: it is believed by itself. JSON may be anybody's.
 */
function refusal(marked: boolean, status: number, bytes: Uint8Array): Zk0Error | null {
  const reply = decodeError(bytes) ?? (marked ? jsonError(bytes) : null);
  if (reply === null) return null;
  const hint = reply.hint === undefined ? {} : { hint: reply.hint };
  if (reply.code === 'PROTOCOL_VERSION' && reply.supported !== undefined) {
    const what = `this program speaks protocol version ${PROTOCOL_VERSION}, and the server reads ${versionRange(reply.supported)}`;
    return new TransportError('PROTOCOL_VERSION', what, hint);
  }
  if (isTransportErrorCode(reply.code)) return new TransportError(reply.code, reply.message, hint);
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
