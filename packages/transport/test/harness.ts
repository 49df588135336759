import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Random,
  Zk0Error,
  type BlobReference,
  type ClientPrincipal,
  type FederationService,
  type HeartbeatMessage,
  type JoinMessage,
  type JsonObject,
  type OperatorChange,
  type OperatorPrincipal,
  type ReportMessage,
  type ResultReply,
  type Task,
  type TaskResult,
} from '@zk0/core';
import { openBlobStore, type BlobStore, type BlobStoreLimits } from '@zk0/storage';
import {
  connect,
  createTransportServer,
  type ConnectOptions,
  type TransportClient,
  type TransportServer,
  type TransportServerOptions,
} from '../src/index.ts';
import { encodeMessage, MESSAGE_CONTENT_TYPE } from '../src/protocol/codec.ts';
import { contentDigest } from '../src/protocol/digest.ts';

/** A small real application behind the server: tasks by client, results counted once. */
export class TestService implements FederationService {
  readonly joined = new Map<string, JoinMessage>();
  readonly instances = new Map<string, string>();
  readonly heartbeats: (HeartbeatMessage & { readonly clientId: string })[] = [];
  readonly results: (TaskResult & { readonly clientId: string })[] = [];
  readonly left: string[] = [];
  readonly reports: (ReportMessage & { readonly clientId: string })[] = [];
  readonly changes: OperatorChange[] = [];
  readonly runs: JsonObject[] = [];
  readonly stopped: (string | undefined)[] = [];
  readonly operators: string[] = [];
  /** Blobs that no client may send or have. */
  readonly forbidden = new Set<string>();
  wanted = true;
  polls = 0;
  readonly #tasks = new Map<string, Task>();
  readonly #wakers = new Set<() => void>();
  #events: JsonObject[] = [];

  give(clientId: string, task: Task): void {
    this.#tasks.set(clientId, task);
    this.wake();
  }

  emit(event: JsonObject): void {
    this.#events.push(event);
    this.wake();
  }

  wake(): void {
    for (const wake of [...this.#wakers]) wake();
  }

  /** Polls and followers that wait now. */
  get waiting(): number {
    return this.#wakers.size;
  }

  join({ clientId, instance }: ClientPrincipal, message: JoinMessage): Promise<{ accepted: true } | { accepted: false; code: string; message: string; hint: string }> {
    if (message.profile['robot'] === 'wrong') {
      return Promise.resolve({ accepted: false, code: 'ROBOT_UNKNOWN', message: 'no such robot', hint: 'Use an SO-101.' });
    }
    const other = this.instances.get(clientId) ?? instance;
    if (other !== instance) throw new Zk0Error('CLIENT_ID_IN_USE', `client ${clientId} is at work elsewhere`);
    this.instances.set(clientId, instance);
    this.joined.set(clientId, message);
    return Promise.resolve({ accepted: true });
  }

  async poll({ clientId }: ClientPrincipal, signal: AbortSignal): Promise<Task | null> {
    this.polls++;
    if (!this.joined.has(clientId)) throw new Zk0Error('NOT_JOINED', `client ${clientId} has not joined`);
    for (;;) {
      const task = this.#tasks.get(clientId);
      if (task !== undefined) return task;
      if (signal.aborted) return null;
      await this.#change(signal);
    }
  }

  heartbeat({ clientId }: ClientPrincipal, message: HeartbeatMessage): Promise<{ continue: boolean }> {
    this.heartbeats.push({ clientId, ...message });
    return Promise.resolve({ continue: this.wanted });
  }

  result({ clientId }: ClientPrincipal, message: TaskResult): Promise<ResultReply> {
    const known = this.results.some(({ taskId, attempt }) => taskId === message.taskId && attempt === message.attempt);
    if (known) return Promise.resolve({ status: 'duplicate' });
    this.results.push({ clientId, ...message });
    this.#tasks.delete(clientId);
    return Promise.resolve({ status: 'accepted' });
  }

  leave({ clientId }: ClientPrincipal): Promise<void> {
    this.left.push(clientId);
    return Promise.resolve();
  }

  report({ clientId }: ClientPrincipal, message: ReportMessage): Promise<void> {
    this.reports.push({ clientId, ...message });
    return Promise.resolve();
  }

  authorizeUpload(client: ClientPrincipal, { hash }: BlobReference): Promise<void> {
    return this.authorizeDownload(client, hash);
  }

  async authorizeDownload({ clientId }: ClientPrincipal, hash: string): Promise<void> {
    await Promise.resolve();
    if (this.forbidden.has(hash)) throw new Zk0Error('FORBIDDEN', `no task of client ${clientId} names this blob`);
  }

  status(): Promise<JsonObject> {
    return Promise.resolve({ clients: [...this.joined.keys()] });
  }

  submitRun({ name }: OperatorPrincipal, config: JsonObject): Promise<{ runId: string }> {
    if (config['rounds'] === 0) throw new Zk0Error('RUN_CONFIG_INVALID', 'rounds: too small', { hint: 'At least 1.' });
    if (config['rounds'] === -1) throw new TypeError('secret detail');
    this.operators.push(name);
    this.runs.push(config);
    return Promise.resolve({ runId: `run-${this.runs.length}` });
  }

  stopRun({ name }: OperatorPrincipal, runId: string | undefined): Promise<{ runId: string }> {
    this.operators.push(name);
    this.stopped.push(runId);
    return Promise.resolve({ runId: runId ?? 'run-1' });
  }

  changeRun({ name }: OperatorPrincipal, change: OperatorChange): Promise<{ runId: string }> {
    this.operators.push(name);
    this.changes.push(change);
    return Promise.resolve({ runId: change.runId ?? 'run-1' });
  }

  async *events(runId: string | undefined, signal: AbortSignal): AsyncGenerator<JsonObject> {
    let position = 0;
    while (!signal.aborted) {
      const event = this.#events[position];
      if (event === undefined) await this.#change(signal);
      else {
        position++;
        if (event['type'] === 'break') throw new Zk0Error('RUN_UNKNOWN', 'the feed broke');
        if (runId === undefined || event['runId'] === runId) yield event;
      }
    }
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#wakers.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#wakers.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }
}

/** Everything a test makes, undone in reverse order. */
export class Scope {
  readonly #undo: (() => Promise<unknown>)[] = [];

  defer(undo: () => Promise<unknown>): void {
    this.#undo.push(undo);
  }

  async dispose(): Promise<void> {
    for (const undo of this.#undo.splice(0).reverse()) await undo();
  }

  async directory(): Promise<string> {
    const path = await mkdtemp(join(tmpdir(), 'zk0-transport-'));
    this.defer(() => rm(path, { recursive: true, force: true }));
    return path;
  }

  async store(limits?: BlobStoreLimits): Promise<BlobStore> {
    return openBlobStore(await this.directory(), limits);
  }

  async server(
    options: Partial<TransportServerOptions> = {},
  ): Promise<{ server: TransportServer; service: TestService; blobs: BlobStore }> {
    const service = new TestService();
    const blobs = options.blobs ?? (await this.store());
    const server = await createTransportServer({ host: '127.0.0.1', port: 0, service, ...options, blobs });
    this.defer(() => server.close());
    return { server, service, blobs };
  }

  /** A client that never waits long between attempts, and always the same. */
  client(url: string, options: Partial<ConnectOptions> = {}): TransportClient {
    const random = new Random(1);
    const client = connect({
      url,
      clientId: 'client-1',
      instance: 'instance-1',
      ...options,
      retry: { initialMs: 2, maxMs: 10, firstContactMs: 2000, random: () => random.uniform(), ...options.retry },
    });
    this.defer(() => client.close());
    return client;
  }
}

/** Answers as this protocol does, for tests that are a server themselves. */
export function answer(reply: ServerResponse, status: number, type: string, body: unknown): void {
  const bytes = encodeMessage(type, body);
  reply.writeHead(status, { 'zk0-protocol': '2', 'content-type': MESSAGE_CONTENT_TYPE, 'content-digest': contentDigest(bytes) }).end(bytes);
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Seeded bytes, so that a failure repeats. */
export function randomBytes(length: number, seed = 1): Uint8Array {
  const random = new Random(seed);
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let index = 0; index < words.length; index++) words[index] = random.uint32();
  return new Uint8Array(words.buffer, 0, length);
}

export function makeTask(overrides: Partial<Task> = {}): Task {
  return {
    taskId: 'run-1/1/client-1',
    runId: 'run-1',
    round: 1,
    kind: 'fit',
    attempt: 1,
    parameters: { hash: '0'.repeat(64), byteLength: 0 },
    instructions: { learningRate: 1e-4, nested: { list: [1, 'two', null, true] } },
    deadline: '2026-01-31T12:00:00.000Z',
    ...overrides,
  };
}

/** Waits until `condition` holds; fails loudly when it never does. */
export async function until(condition: () => boolean, what = 'the condition'): Promise<void> {
  const end = performance.now() + 30_000;
  while (performance.now() < end) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`${what} did not come about within 30 s`);
}

/** The reply to a raw request. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** One raw request, with exactly these headers. */
export function ask(
  url: string,
  options: { method?: string; headers?: Record<string, string>; body?: Uint8Array; path?: string } = {},
): Promise<Answer> {
  const { hostname, port } = new URL(url);
  const { method = 'GET', headers = {}, body, path = '/' } = options;
  return new Promise((resolve, reject) => {
    const request = httpRequest({ hostname, port, method, path, headers, agent: false }, (reply) => {
      const chunks: Buffer[] = [];
      reply.on('data', (chunk: Buffer) => chunks.push(chunk));
      reply.on('end', () => { resolve({ status: reply.statusCode!, headers: reply.headers, body: Buffer.concat(chunks) }); });
      reply.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}
