import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Zk0Error } from '@zk0/core';
import { closeAll, openSqliteStores, type ClientStore, type FederationLog, type LeaseStore, type LedgerStore, type PartQueue, type TaskQueue } from '@zk0/federation';
import type * as FederationNats from '@zk0/federation-nats';
import { openBlobStore, type BlobStore, type SharedNames, type SharedTable } from '@zk0/storage';
import { stateFiles } from '../state-files.ts';
import { isSharedState, lockState } from './state-lock.ts';

/** What a server's state is opened with. */
export interface ServerStateOptions {
  readonly stateDirectory: string;
  /** Address of a NATS server that holds ledger, leases, clients and tasks (see `parseNatsAddress`); a file of the state folder when absent. */
  readonly backend?: string;
  /** Address of a bucket that holds the blobs (see `parseS3Address`); a folder in the state folder when absent. */
  readonly blobs?: string;
  /** Bytes that blobs may take in the state folder; the disk is the limit when absent. */
  readonly maxDiskBytes?: number;
  readonly log: FederationLog;
}

/** Everything that a server goes on with after a restart. */
export interface ServerState {
  readonly ledger: LedgerStore;
  readonly leases: LeaseStore;
  readonly queue?: TaskQueue;
  readonly clients?: ClientStore;
  /** Parts of aggregations; present where several servers share the state. */
  readonly parts?: PartQueue;
  /** Enrolled nodes and tokens, and signatures that were used; files and memory of this server when absent. */
  readonly nodes?: SharedTable;
  readonly nonces?: SharedNames;
  readonly blobs: BlobStore;
  /** Names this server in leases. */
  readonly holder: string;
  close(): Promise<void>;
}

/**
 * Opens a server's state: by default files in its state folder, which need nothing else.
 *
 * @throws Zk0Error saying what does not fit; nothing stays open then.
 */
export async function openServerState(options: ServerStateOptions): Promise<ServerState> {
  const closers: (() => Promise<void> | void)[] = [];
  const close = (): Promise<void> => closeAll(options.log, closers.splice(0).reverse());
  try {
    const stores = options.backend === undefined ? openEmbedded(options, closers) : await openShared(options.backend, options, closers);
    const blobs = await openBlobs(options, closers);
    return { ...stores, blobs, close };
  } catch (error) {
    await close();
    throw error;
  }
}

type Stores = Omit<ServerState, 'blobs' | 'close'>;
type Closers = (() => Promise<void> | void)[];

function openEmbedded({ stateDirectory }: ServerStateOptions, closers: Closers): Stores {
  if (isSharedState(stateDirectory)) {
    throw otherBackend(stateDirectory, 'a server whose ledger is on NATS', 'Give the same --backend, or another --out.');
  }
  const stores = openSqliteStores(stateFiles(stateDirectory).ledger);
  closers.push(() => { stores.close(); });
  // The ledger's own lock keeps a second server away.
  return { ledger: stores.ledger, leases: stores.leases, holder: 'server' };
}

async function openShared(backend: string, { stateDirectory, blobs, log }: ServerStateOptions, closers: Closers): Promise<Stores> {
  const { openNatsStores, parseNatsAddress } = await natsPackage('--backend');
  const address = parseNatsAddress(backend);
  if (existsSync(stateFiles(stateDirectory).ledger)) {
    throw otherBackend(stateDirectory, 'a server that keeps its ledger in this folder', 'Give another --out: runs do not move from one ledger to another.');
  }
  const lock = lockState(stateDirectory);
  closers.push(() => { lock.close(); });
  const stores = await openNatsStores(address, { log });
  closers.push(() => stores.close());
  await lock.keep();
  log.info(`ledger, leases, clients and tasks are at ${address.text}`);
  if (blobs === undefined) log.warn('parameters and updates are in a folder of this machine: a server elsewhere cannot take over (--blobs)');
  const { ledger, leases, clients, queue, parts, nodes, nonces } = stores;
  return { ledger, leases, clients, queue, parts, nodes, nonces, holder: lock.holder };
}

async function openBlobs({ stateDirectory, blobs, maxDiskBytes, log }: ServerStateOptions, closers: Closers): Promise<BlobStore> {
  const limits = maxDiskBytes === undefined ? {} : { maxTotalBytes: maxDiskBytes };
  if (blobs === undefined) return openBlobStore(join(stateDirectory, 'blobs'), limits);
  const { openS3BlobStore, parseS3Address } = await natsPackage('--blobs');
  const address = parseS3Address(blobs);
  const store = await openS3BlobStore(address, { cacheDirectory: join(stateDirectory, 'blob-cache'), ...limits });
  closers.push(() => { store.close(); });
  log.info(`parameters and updates are at ${address.text}`);
  return store;
}

/**
 * Opens the registry of nodes alone, for a command beside the server.
 *
 * @throws Zk0Error saying what does not fit
 */
export async function openSharedNodes(backend: string, log: FederationLog): Promise<{ readonly nodes: SharedTable; close(): Promise<void> }> {
  const { openNatsStores, parseNatsAddress } = await natsPackage('--backend');
  return openNatsStores(parseNatsAddress(backend), { log });
}

/** The package is installed by who asks for it, and by nobody else. */
async function natsPackage(flag: string): Promise<typeof FederationNats> {
  try {
    return await import('@zk0/federation-nats');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new Zk0Error('BACKEND_NOT_INSTALLED', `${flag} needs the package @zk0/federation-nats, which is not installed`, {
      cause,
      hint: 'Install it beside the server: npm install -g @zk0/server @zk0/federation-nats.',
    });
  }
}

function otherBackend(stateDirectory: string, whose: string, hint: string): Zk0Error {
  return new Zk0Error('BACKEND_CHANGED', `${stateDirectory} belongs to ${whose}`, { hint });
}
