import type { Heartbeat, HeartbeatMessage, HeartbeatOptions, HeartbeatReply, JoinMessage, ReportMessage, ResultReply, Task, TaskResult, Zk0Error } from '@zk0/core';
import type { BlobStore } from '@zk0/storage';
import type { NodeKey } from '../identity/key.ts';
import type { ProxyEnvironment } from './dispatcher.ts';

/** TLS material of a client, PEM; `ca` replaces the system's roots, `key` and `cert` are for servers that ask for one. */
export interface ClientTls {
  readonly ca?: string;
  /**
   * SHA-256 of the one certificate that the server may have, as {@link certificateFingerprint} gives it: whoever signed that one, and whatever
   * name it is for. For a program that knows the server's certificate by other means than its name.
   */
  readonly fingerprint?: string;
  readonly key?: string;
  readonly cert?: string;
}

/** How failures that may pass are tried again: exponential back-off with full jitter; `Retry-After` is a minimum. */
export interface RetryOptions {
  /** Bound of the first pause, in ms (1000). */
  readonly initialMs?: number;
  /** Bound of every pause, in ms (20 000). */
  readonly maxMs?: number;
  /**
   * Until the server has answered once, a name that does not resolve, a port where nobody listens and a certificate that is not
   * trusted are errors after so many ms (10 000); `Infinity` waits for the server however long it takes. Everything else, and
   * everything after the first answer, is tried again for ever.
   */
  readonly firstContactMs?: number;
  /** Uniform in [0, 1); a seeded one makes tests repeat. */
  readonly random?: () => number;
  /** Waits; rejects when the signal aborts. */
  readonly sleep?: (ms: number, signal?: AbortSignal) => Promise<void>;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
}

/** Whether the server can be reached, told on every change and every failed attempt. */
export type ConnectionState =
  | { readonly state: 'connected' }
  | { readonly state: 'retrying'; readonly error: Zk0Error; readonly attempt: number; readonly delayMs: number };

/** How to reach a server. */
export interface ConnectOptions {
  /** `http://…` or `https://…`, as the server printed it. */
  readonly url: string;
  readonly clientId: string;
  /**
   * Names this installation (letters, digits, dot, dash, underscore; at most 64): kept where the client keeps its state, so that a
   * restarted process has the same. The server tells by it a client that came back from a second one with the same id.
   */
  readonly instance: string;
  /** The key that this node enrolled with, and the server's id from its answer; each request is signed. */
  readonly enrolment?: { readonly key: NodeKey; readonly serverId: string };
  readonly tls?: ClientTls;
  readonly allowInsecure?: boolean;
  readonly retry?: RetryOptions;
  /** A transfer or a request fails when no byte has moved for so long, in ms (60 000). */
  readonly noProgressMs?: number;
  /** Names the proxies (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`); default: the environment of the process. */
  readonly proxyEnvironment?: ProxyEnvironment;
  readonly onConnectionState?: (state: ConnectionState) => void;
}

/** Hooks of a transfer. */
export interface TransferOptions {
  readonly signal?: AbortSignal;
  /** Bytes that are there (downloads) or on the other side (uploads), out of the blob's size. */
  readonly onProgress?: (bytes: number) => void;
}

/** Hooks and bounds of a download. */
export interface DownloadOptions extends TransferOptions {
  /** A blob that is said to be larger is refused before anything is asked for. The store has a bound of its own. */
  readonly maxBytes?: number;
}

/** Body bytes since the last call, or since the client was made. */
export interface ByteCounts {
  readonly bytesUp: number;
  readonly bytesDown: number;
}

/**
 * One client's line to a server. It only ever dials out. Every call but `heartbeat`, `report` and `leave` is tried again until it
 * succeeds, is refused for good, or its signal aborts (CancelledError).
 */
export interface TransportClient {
  /** Body bytes sent and received so far, messages and blobs. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  takeByteCounts(): ByteCounts;

  /**
   * Introduces this client; it is remembered, and said again by itself to a server that has forgotten it.
   *
   * @throws RemoteError with the server's code, message and hint when it does not accept this client.
   */
  join(message: JoinMessage, signal?: AbortSignal): Promise<void>;
  /** Waits for work, however long it takes; `null` when the signal aborts. */
  poll(signal?: AbortSignal): Promise<Task | null>;
  /** One attempt, no repetition: the next heartbeat makes up for a lost one. A loss that is not finite is left out. */
  heartbeat(message?: HeartbeatMessage): Promise<HeartbeatReply>;
  /** Sends lines of the log, and memory that is used. One attempt, no repetition. */
  report(message: ReportMessage, signal?: AbortSignal): Promise<void>;
  result(result: TaskResult, signal?: AbortSignal): Promise<ResultReply>;
  /**
   * Sends heartbeats from now on, until {@link Heartbeat.stop} or {@link close}: also while this client downloads, works and uploads. A
   * poll that is held open says as much: meanwhile none is sent.
   */
  startHeartbeat(options?: HeartbeatOptions): Heartbeat;
  /** Says goodbye, once, briefly. */
  leave(): Promise<void>;

  /**
   * Brings a blob into the store; resumes what an earlier call left, receives nothing when it is there. A download that is refused for
   * good leaves nothing in the store; one whose signal aborts leaves what has arrived, to go on from there.
   */
  download(hash: string, byteLength: number, blobs: BlobStore, options?: DownloadOptions): Promise<void>;
  /** Sends a blob from the store; resumes where the server stands, sends nothing when it has it. */
  upload(hash: string, blobs: BlobStore, options?: TransferOptions): Promise<void>;

  /** Ends every request; calls in flight reject. */
  close(): Promise<void>;
}
