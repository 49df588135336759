import { setTimeout as wait } from 'node:timers/promises';
import { errorMessage } from '@zk0/core';
import type { FederationLog } from '@zk0/federation';
import { isPassingStorageError, StorageError } from '@zk0/storage';
import { jetstream, jetstreamManager, JetStreamApiError, type JetStreamClient, type JetStreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { BackendError } from '../errors.ts';
import type { NatsAddress } from './address.ts';
import { natsCredentials } from './credentials.ts';
import { isConflict, isRefusal, natsError } from './nats-error.ts';

/** The oldest server with everything that is used: batched reads of a subject came with it. */
const MINIMUM_VERSION = [2, 11] as const;
/** How long one request may take before it is sent again, in ms. */
const REQUEST_MS = 2000;
const CONNECT_MS = 5000;
/** How long requests are repeated before the caller gets an error, in ms. */
const PATIENCE_MS = 15_000;
/** JetStream's codes for a server or an account without it. */
const NOT_ENABLED: ReadonlySet<number> = new Set([10_039, 10_076]);
const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 1000;

/** How a connection is opened. */
export interface NatsOptions {
  readonly log: FederationLog;
  /** Where credentials come from; the process's own environment when absent. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** How long requests are repeated before the caller gets an error, in ms (15 000). */
  readonly patienceMs?: number;
}

/** A connection to NATS, and what is done over it. */
export class NatsLink {
  readonly address: NatsAddress;
  readonly log: FederationLog;
  readonly connection: NatsConnection;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
  readonly #patienceMs: number;
  /** Why the connection has ended for good. */
  #ended: unknown;
  #isClosing = false;

  private constructor(address: NatsAddress, connection: NatsConnection, jsm: JetStreamManager, { log, patienceMs = PATIENCE_MS }: NatsOptions) {
    this.address = address;
    this.connection = connection;
    this.jsm = jsm;
    this.js = jetstream(connection, { timeout: REQUEST_MS });
    this.log = log;
    this.#patienceMs = patienceMs;
    void this.#watch();
  }

  /**
   * Connects to the first server that answers.
   *
   * @throws StorageError `STORE_UNREACHABLE` when none does; BackendError `BACKEND_REFUSED`, `BACKEND_UNSUITABLE`
   */
  static async open(address: NatsAddress, options: NatsOptions): Promise<NatsLink> {
    const { text, servers, tls } = address;
    const credentials = natsCredentials(options.environment ?? process.env, tls);
    const connection = await connect({
      ...credentials,
      servers: [...servers],
      name: `zk0-server ${address.federation}`,
      timeout: CONNECT_MS,
      // A server that is away comes back some day; until then rounds wait.
      maxReconnectAttempts: -1,
      reconnectTimeWait: 250,
      pingInterval: 5000,
    }).catch((error: unknown) => {
      throw openError(text, error);
    });
    try {
      const version = connection.info?.version ?? 'unknown';
      const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
      if (!(major > MINIMUM_VERSION[0] || (major === MINIMUM_VERSION[0] && minor >= MINIMUM_VERSION[1]))) {
        throw new BackendError('BACKEND_UNSUITABLE', `${text}: the NATS server is of version ${version}, and ${MINIMUM_VERSION.join('.')} is needed`, { hint: 'Install a newer nats-server.' });
      }
      const link = new NatsLink(address, connection, await jetstreamManager(connection, { timeout: REQUEST_MS, checkAPI: false }), options);
      await link.attempt(() => link.#account()).catch((error: unknown) => {
        const cause = error instanceof BackendError ? error : (error as Error).cause;
        if (isRefusal(cause)) throw openError(text, cause);
        if (isPassingStorageError(error) && !isNotEnabled(cause)) throw error;
        throw error instanceof BackendError ? error : noJetStream(text, error);
      });
      return link;
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  /**
   * Does something that can be repeated, again while the server does not answer, for a while.
   *
   * @throws what `natsError` makes of what it throws; a conflict with another writer as it is.
   */
  async attempt<T>(work: () => Promise<T>): Promise<T> {
    const end = performance.now() + this.#patienceMs;
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, MAX_PAUSE_MS)) {
      try {
        return await work();
      } catch (error) {
        if (isConflict(error)) throw error;
        const typed = natsError(this.address.text, this.#ended ?? error);
        if (!isPassingStorageError(typed) || this.#isClosing || performance.now() + pause > end) throw typed;
        await wait(pause);
      }
    }
  }

  /** Asks whether JetStream is there. One that is not part of a cluster has nobody to wait for: what it lacks now, it lacks. */
  async #account(): Promise<void> {
    try {
      await this.jsm.getAccountInfo();
    } catch (error) {
      if (!isNotEnabled(error) || this.connection.info?.cluster !== undefined) throw error;
      throw noJetStream(this.address.text, error);
    }
  }

  /** The most bytes that one message may have: its own and its headers'. */
  get maxBytes(): number {
    return this.connection.info?.max_payload ?? 2 ** 20;
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    await this.connection.close();
  }

  /** Says once that the connection is lost, and once that it is back. */
  async #watch(): Promise<void> {
    const { log, address } = this;
    void this.connection.closed().then((error) => {
      this.#ended = error ?? undefined;
      if (!this.#isClosing) log.error(`${address.text}: the connection has ended${error === undefined ? '' : ` (${errorMessage(error)})`}`);
    });
    for await (const status of this.connection.status()) {
      if (this.#isClosing) return;
      if (status.type === 'disconnect') log.warn(`${address.text}: the connection to ${status.server} is lost; it is tried again`);
      if (status.type === 'reconnect') log.info(`${address.text}: connected to ${status.server}`);
    }
  }
}

/** Whether nobody on this server or in this account offers JetStream; a cluster that elects a leader does, a moment later. */
function isNotEnabled(error: unknown): boolean {
  return (error instanceof Error && error.name === 'JetStreamNotEnabled') || (error instanceof JetStreamApiError && NOT_ENABLED.has(error.code));
}

function noJetStream(text: string, cause: unknown): BackendError {
  return new BackendError('BACKEND_UNSUITABLE', `${text}: JetStream cannot be used`, { cause, hint: 'Start nats-server with -js, and allow the account to use it.' });
}

function openError(text: string, error: unknown): Error {
  const message = errorMessage(error);
  if (isRefusal(error)) {
    return new BackendError('BACKEND_REFUSED', `${text}: the NATS server refuses this server (${message})`, {
      cause: error,
      hint: 'Set ZK0_NATS_CREDS, ZK0_NATS_TOKEN, or ZK0_NATS_USER and ZK0_NATS_PASSWORD to what it knows.',
    });
  }
  return new StorageError('STORE_UNREACHABLE', `${text}: no NATS server answers (${message})`, { cause: error, hint: 'Check the address, that nats-server runs, and the network.' });
}
