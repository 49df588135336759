import type { HeartbeatMessage, HeartbeatReply, JoinMessage, ReportMessage, ResultReply, Task, TaskResult } from '@zk0/core';
import type { BlobStore } from '@zk0/storage';

/** Hooks of a transfer. */
export interface TransferHooks {
  readonly signal?: AbortSignal;
  /** Bytes that are there (downloads) or on the other side (uploads), out of the blob's size. */
  readonly onProgress?: (bytes: number) => void;
}

/**
 * A participant's line to its server, under one client id. `@zk0/transport`'s `TransportClient` is one over HTTP, {@link connectLocally} one
 * within a process. Every call but `heartbeat`, `report` and `leave` is tried again until it succeeds, is refused for good, or its signal aborts.
 */
export interface FederationConnection {
  /** Introduces the client; it is said again by itself to a server that has forgotten it. @throws Zk0Error when it is not accepted. */
  join(message: JoinMessage, signal?: AbortSignal): Promise<void>;
  /** Waits for work, however long it takes; `null` when the signal aborts. */
  poll(signal?: AbortSignal): Promise<Task | null>;
  /** One attempt, no repetition. */
  heartbeat(message: HeartbeatMessage): Promise<HeartbeatReply>;
  /** Sends lines of the log, and memory that is used. One attempt, no repetition. */
  report(message: ReportMessage, signal?: AbortSignal): Promise<void>;
  result(result: TaskResult, signal?: AbortSignal): Promise<ResultReply>;
  /** Says goodbye, once, briefly. */
  leave(): Promise<void>;
  /** Brings a blob into the store. */
  download(hash: string, byteLength: number, blobs: BlobStore, hooks?: TransferHooks): Promise<void>;
  /** Sends a blob from the store. */
  upload(hash: string, blobs: BlobStore, hooks?: TransferHooks): Promise<void>;
  /** Body bytes since the last call. */
  takeByteCounts(): { readonly bytesUp: number; readonly bytesDown: number };
}
