import { randomBytes } from 'node:crypto';
import { compareNames, fingerprintOf } from '@zk0/core';
import type { SharedRow, SharedTable } from '@zk0/storage';
import * as z from 'zod';
import { TransportError } from '../errors.ts';
import { MAX_NAME, type Enrolment, type NodeInfo, type NodeRegistry, type TokenInfo, type TokenOptions } from './registry.ts';
import { assertUsable, drawToken, idTaken, nodeRevoked, nodeUnknown, tokenHash, tokenUnknown, tokenUnknownHere } from './token-rules.ts';

/** A request of a node is written down so seldom: each is a write for all servers. */
const SEEN_EVERY_MS = 10 * 60_000;
/** Nodes that are looked up again after so long: a revocation counts everywhere by then. */
const NODE_HOLDS_MS = 2000;
const MAX_HELD_NODES = 20_000;
/** Writers that may be faster before a change is given up. */
const MAX_ATTEMPTS = 50;

const instant = z.iso.datetime().transform((text) => new Date(text));
const tokenSchema = z.strictObject({
  id: z.string(),
  uses: z.int(),
  used: z.int(),
  needsApproval: z.boolean(),
  note: z.string(),
  createdAt: instant,
  expiresAt: instant,
  revokedAt: instant.nullable(),
});
const nodeSchema = z.strictObject({
  clientId: z.string(),
  fingerprint: z.string(),
  publicKey: z.string(),
  dataset: z.string(),
  state: z.enum(['pending', 'approved', 'revoked']),
  enrolledAt: instant,
  lastSeenAt: instant.nullable(),
  tokenId: z.string(),
});
const serverSchema = z.strictObject({ id: z.string().min(1) });
const holderSchema = z.strictObject({ fingerprint: z.string() });

const TOKEN = 'token.';
const NODE = 'node.';
const SERVER = 'server';
/** Which node has a client id. */
const holderKey = (clientId: string): string => `client.${Buffer.from(clientId).toString('base64url')}`;

/** Options of {@link openSharedRegistry}. */
export interface SharedRegistryOptions {
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/**
 * Opens a registry in a table that several servers share, or makes one. Where a token's use and a node are two rows, the use is counted
 * first: a server that dies in between may cost a use, and lets nobody in who had none.
 *
 * @throws TransportError `REGISTRY_UNUSABLE` for rows that no release of this format wrote; what the table throws
 */
export async function openSharedRegistry(table: SharedTable, { now = Date.now }: SharedRegistryOptions = {}): Promise<NodeRegistry> {
  await table.replace(SERVER, JSON.stringify({ id: randomBytes(16).toString('base64url') }), null);
  const { id } = read(serverSchema, (await table.get(SERVER))!);
  return new SharedRegistry(id, table, now);
}

class SharedRegistry implements NodeRegistry {
  readonly serverId: string;
  readonly #table: SharedTable;
  readonly #now: () => number;
  readonly #held = new Map<string, { readonly node: NodeInfo; readonly at: number }>();
  /** When the last request of each node came here, and when that was written down. */
  readonly #seen = new Map<string, { readonly at: number; readonly writtenAt: number }>();

  constructor(serverId: string, table: SharedTable, now: () => number) {
    this.serverId = serverId;
    this.#table = table;
    this.#now = now;
  }

  async createToken(options: TokenOptions = {}): Promise<{ readonly token: string; readonly info: TokenInfo }> {
    const { token, hash, info } = drawToken(options, this.#now());
    await this.#table.replace(`${TOKEN}${hash}`, JSON.stringify(info), null);
    return { token, info };
  }

  async listTokens(): Promise<readonly TokenInfo[]> {
    const tokens = (await this.#table.list(TOKEN)).map((row) => read(tokenSchema, row));
    return tokens.sort((a, b) => a.createdAt.getTime() - b.createdAt.getTime() || compareNames(a.id, b.id));
  }

  async revokeToken(id: string): Promise<TokenInfo> {
    const row = (await this.#table.list(`${TOKEN}${id}`)).find((one) => read(tokenSchema, one).id === id);
    if (row === undefined) throw tokenUnknown(id);
    return this.#change(row.key, tokenSchema, (token) => (token.revokedAt === null ? { ...token, revokedAt: new Date(this.#now()) } : token));
  }

  async enroll({ token, clientId, publicKey, dataset }: Enrolment): Promise<NodeInfo> {
    const key = `${TOKEN}${tokenHash(token)}`;
    const row = await this.#table.get(key);
    if (row === null) throw tokenUnknownHere();
    const info = read(tokenSchema, row);
    const fingerprint = fingerprintOf(publicKey);
    const known = await this.#node(fingerprint);
    if (known?.state === 'revoked') throw nodeRevoked(known);
    if (known?.clientId === clientId && known.tokenId === info.id) return known;
    assertUsable(info, this.#now());
    if ((await this.#holderOf(clientId, fingerprint)).isTaken) throw idTaken(clientId);
    await this.#change(key, tokenSchema, (newest) => {
      assertUsable(newest, this.#now());
      return { ...newest, used: newest.used + 1 };
    });
    // The same key with a new token may take another id; the one that it had is free, because its node has another now.
    const node: NodeInfo = { clientId, fingerprint, publicKey, dataset: dataset.slice(0, MAX_NAME), state: info.needsApproval ? 'pending' : 'approved', enrolledAt: new Date(this.#now()), lastSeenAt: null, tokenId: info.id };
    await this.#set(`${NODE}${fingerprint}`, node);
    this.#held.delete(fingerprint);
    await this.#takeId(clientId, fingerprint);
    return node;
  }

  async node(fingerprint: string): Promise<NodeInfo | null> {
    const held = this.#held.get(fingerprint);
    if (held !== undefined && performance.now() - held.at < NODE_HOLDS_MS) return this.#withSeen(held.node);
    const node = await this.#node(fingerprint);
    if (this.#held.size >= MAX_HELD_NODES) this.#held.clear();
    // One that is not there may be there in a moment: it has just enrolled elsewhere.
    if (node !== null) this.#held.set(fingerprint, { node, at: performance.now() });
    return node === null ? null : this.#withSeen(node);
  }

  async listNodes(): Promise<readonly NodeInfo[]> {
    const nodes = (await this.#table.list(NODE)).map((row) => this.#withSeen(read(nodeSchema, row)));
    // Of the same moment, those that are revoked came first: their names were free for the others.
    const isActive = ({ state }: NodeInfo): number => Number(state !== 'revoked');
    return nodes.sort((a, b) => a.enrolledAt.getTime() - b.enrolledAt.getTime() || isActive(a) - isActive(b) || compareNames(a.fingerprint, b.fingerprint));
  }

  approveNode(name: string): Promise<NodeInfo> {
    return this.#changeNode(name, 'approved');
  }

  revokeNode(name: string): Promise<NodeInfo> {
    return this.#changeNode(name, 'revoked');
  }

  async seen(fingerprint: string): Promise<void> {
    const [now, before] = [this.#now(), this.#seen.get(fingerprint)];
    const isDue = before === undefined || now - before.writtenAt >= SEEN_EVERY_MS;
    this.#seen.set(fingerprint, { at: now, writtenAt: isDue ? now : before.writtenAt });
    if (isDue) await this.#change(`${NODE}${fingerprint}`, nodeSchema, (newest) => ({ ...newest, lastSeenAt: new Date(now) }));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #withSeen(node: NodeInfo): NodeInfo {
    const seen = this.#seen.get(node.fingerprint);
    return seen === undefined || seen.at <= (node.lastSeenAt?.getTime() ?? -Infinity) ? node : { ...node, lastSeenAt: new Date(seen.at) };
  }

  async #node(fingerprint: string): Promise<NodeInfo | null> {
    // A name that anybody may send: no key of another shape is asked for.
    const row = /^[\w-]{43}$/.test(fingerprint) ? await this.#table.get(`${NODE}${fingerprint}`) : null;
    return row === null ? null : read(nodeSchema, row);
  }

  /** Who has a client id, as far as that keeps a node from it. */
  async #holderOf(clientId: string, fingerprint: string): Promise<{ readonly isTaken: boolean; readonly revision: number | null }> {
    const row = await this.#table.get(holderKey(clientId));
    const holder = row === null ? null : await this.#node(read(holderSchema, row).fingerprint);
    const isTaken = holder !== null && holder.fingerprint !== fingerprint && holder.state !== 'revoked' && holder.clientId === clientId;
    return { isTaken, revision: row?.revision ?? null };
  }

  /** Takes a client id for a node that is in the table. Of two that want it at the same moment, one is removed again. @throws TransportError `CLIENT_ID_TAKEN` */
  async #takeId(clientId: string, fingerprint: string): Promise<void> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const { isTaken, revision } = await this.#holderOf(clientId, fingerprint);
      if (isTaken) {
        await this.#table.remove(`${NODE}${fingerprint}`);
        throw idTaken(clientId);
      }
      if (await this.#table.replace(holderKey(clientId), JSON.stringify({ fingerprint }), revision)) return;
    }
    throw unsettled();
  }

  async #changeNode(name: string, state: 'approved' | 'revoked'): Promise<NodeInfo> {
    // A name may be of one that is enrolled and of others that were: the enrolled one is meant.
    const found = (await this.listNodes()).filter(({ fingerprint, clientId }) => fingerprint === name || clientId === name);
    const node = found.findLast((one) => one.state !== 'revoked') ?? found.at(-1);
    if (node === undefined) throw nodeUnknown(name);
    const changed = await this.#change(`${NODE}${node.fingerprint}`, nodeSchema, (newest) => {
      if (newest.state === 'revoked' && state !== 'revoked') throw nodeRevoked(newest);
      return { ...newest, state };
    });
    this.#held.delete(node.fingerprint);
    return changed;
  }

  async #change<T>(key: string, schema: z.ZodType<T>, change: (value: T) => T): Promise<T> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const row = await this.#table.get(key);
      if (row === null) throw new TransportError('REGISTRY_UNUSABLE', `the registry of nodes has lost ${key.split('.')[0]!}`, { hint: 'Restore it from a backup.' });
      const next = change(read(schema, row));
      if (await this.#table.replace(key, JSON.stringify(next), row.revision)) return next;
    }
    throw unsettled();
  }

  async #set(key: string, value: unknown): Promise<void> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      if (await this.#table.replace(key, JSON.stringify(value), (await this.#table.get(key))?.revision ?? null)) return;
    }
    throw unsettled();
  }
}

function read<T>(schema: z.ZodType<T>, { key, value }: SharedRow): T {
  try {
    return schema.parse(JSON.parse(value));
  } catch (cause) {
    throw new TransportError('REGISTRY_UNUSABLE', `the registry of nodes: ${key.split('.')[0]!} cannot be read`, { cause, hint: 'Run one release on all servers, or restore the registry from a backup.' });
  }
}

function unsettled(): TransportError {
  return new TransportError('REGISTRY_UNUSABLE', `the registry of nodes: ${MAX_ATTEMPTS} writers in a row were faster`, { hint: 'Try again.' });
}
