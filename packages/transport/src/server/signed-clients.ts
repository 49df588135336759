import type { KeyObject } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { ClientPrincipal } from '@zk0/core';
import type { SharedNames } from '@zk0/storage';
import { TransportError } from '../errors.ts';
import { importPublicKey } from '../identity/key.ts';
import type { NodeInfo, NodeRegistry } from '../identity/registry.ts';
import { nodeRevoked } from '../identity/token-rules.ts';
import { silentLog, type TransportLog } from '../log.ts';
import { SERVER_HEADER } from '../protocol/http.ts';
import { NonceMemory, type NonceLimits } from '../signature/nonces.ts';
import { checkSignature, readSignature, type ClaimedSignature } from '../signature/verify.ts';
import { claimedPrincipal, type ClientAuthenticator } from './clients.ts';

/** Public keys that are kept ready. */
const MAX_CACHED_KEYS = 20_000;
/** Clients of which it is known that they were here; of more, the oldest are forgotten. */
const MAX_PRESENT = 20_000;

/** Options of {@link SignedClients}. */
export interface SignedClientsOptions extends NonceLimits {
  readonly registry: NodeRegistry;
  readonly log?: TransportLog;
  /** A sender's clock may differ from this one's by so much, in ms. */
  readonly maxClockSkewMs: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** Where nonces are taken for all servers that share the registry; of one server alone, its memory is enough. */
  readonly sharedNonces?: SharedNames | undefined;
}

/** Clients that have enrolled: each request is signed with the node's key, and is taken once. */
export class SignedClients implements ClientAuthenticator {
  readonly #registry: NodeRegistry;
  readonly #log: TransportLog;
  readonly #maxClockSkewMs: number;
  readonly #now: () => number;
  readonly #startedAt: number;
  readonly #nonces: NonceMemory;
  readonly #sharedNonces: SharedNames | undefined;
  readonly #keys = new Map<string, KeyObject>();
  /** Who has sent something, by the key's fingerprint; who was looked at last comes last. */
  readonly #present = new Map<string, ClientPrincipal>();

  constructor({ registry, log = silentLog, maxClockSkewMs, now = Date.now, sharedNonces, ...limits }: SignedClientsOptions) {
    this.#registry = registry;
    this.#log = log;
    this.#maxClockSkewMs = maxClockSkewMs;
    this.#now = now;
    this.#startedAt = now();
    this.#sharedNonces = sharedNonces;
    this.#nonces = new NonceMemory(maxClockSkewMs, limits);
  }

  /**
   * @throws TransportError `UNAUTHORIZED`, `SIGNATURE_INVALID`, `CLOCK_SKEW`, `WRONG_SERVER`, `NODE_REVOKED`, `NODE_PENDING`,
   * `SIGNATURE_REPLAYED`
   */
  async authenticate(request: IncomingMessage): Promise<ClientPrincipal> {
    const signature = readSignature(request);
    const node = await this.#registry.node(signature.keyId);
    if (node === null) {
      throw new TransportError('UNAUTHORIZED', `no node with the key ${signature.keyId.slice(0, 43)} has enrolled with this server`, {
        hint: 'Enrol with a token of this server: zk0-client enroll.',
      });
    }
    checkSignature(request, signature, this.#key(node));
    // From here on it is the node that asks: it may know what is wrong.
    this.checkTime(signature);
    if (request.headers[SERVER_HEADER] !== this.#registry.serverId) {
      throw new TransportError('WRONG_SERVER', 'the request is for another server than this one', {
        hint: 'Enrol with this server, or give the address of the server that you enrolled with.',
      });
    }
    const principal = claimedPrincipal(request);
    if (principal.clientId !== node.clientId) {
      throw new TransportError('UNAUTHORIZED', `the key is enrolled as ${node.clientId}, and the request comes from ${principal.clientId}`, {
        hint: 'Use the id that the node enrolled with.',
      });
    }
    checkState(node);
    await this.takeOnce(signature);
    this.#markPresent(node.fingerprint, principal);
    // A disk that is full must not keep clients out.
    await this.#registry.seen(node.fingerprint).catch((error: unknown) => {
      this.#log.warn(`when ${node.clientId} was last seen is not written down`, { error });
    });
    return principal;
  }

  /**
   * Takes a signature that has been checked, once over all servers.
   *
   * @throws TransportError `SIGNATURE_REPLAYED`, `BUSY`; what the shared store of nonces throws: a request that cannot be checked is refused
   */
  async takeOnce({ keyId, nonce, createdAt }: ClaimedSignature): Promise<void> {
    const taken = this.#nonces.take(keyId, nonce, createdAt, this.#now());
    if (taken === 'new' && (this.#sharedNonces === undefined || (await this.#sharedNonces.take(`${keyId}.${Buffer.from(nonce).toString('base64url')}`)))) return;
    if (taken === 'full') throw new TransportError('BUSY', 'too many requests of this client in a minute');
    throw new TransportError('SIGNATURE_REPLAYED', 'this very request has come before', {
      hint: 'Sign each request anew, with a nonce of its own; a proxy on the way may repeat requests.',
    });
  }

  /**
   * Looks at the next `max` of the clients that were here, in turn: those whose key the operator has revoked since. Each is named until
   * whoever asks has dealt with it.
   *
   * @throws what the registry throws
   */
  async *newlyRevoked(max: number): AsyncGenerator<{ readonly client: ClientPrincipal; readonly node: NodeInfo }> {
    for (const fingerprint of [...this.#present.keys()].slice(0, max)) {
      const node = await this.#registry.node(fingerprint);
      // As it was here last: it may have sent something meanwhile.
      const client = this.#present.get(fingerprint);
      if (client === undefined) continue;
      const isRevoked = node?.state === 'revoked';
      if (isRevoked) yield { client, node };
      this.#present.delete(fingerprint);
      if (node !== null && !isRevoked) this.#markPresent(fingerprint, client);
    }
  }

  /** @throws TransportError `CLOCK_SKEW`, `SIGNATURE_REPLAYED` */
  checkTime({ createdAt }: ClaimedSignature): void {
    const now = this.#now();
    // Signatures have whole seconds.
    const behindMs = now - (createdAt + 999);
    const aheadMs = createdAt - now;
    const offBy = Math.max(behindMs, aheadMs);
    if (offBy > this.#maxClockSkewMs) {
      throw new TransportError(
        'CLOCK_SKEW',
        `the client's clock is ${Math.round(offBy / 1000)} s ${behindMs > aheadMs ? 'behind' : 'ahead of'} the server's; ` +
          `${this.#maxClockSkewMs / 1000} s are allowed`,
        { hint: 'Set both clocks, by NTP for example.' },
      );
    }
    // Nonces are in memory: what was signed before this process started may have been taken by the process before it.
    if (createdAt + 999 < this.#startedAt) {
      throw new TransportError('SIGNATURE_REPLAYED', 'the request was signed before the server started', {
        hint: 'It is signed anew and sent again by itself.',
      });
    }
  }

  #markPresent(fingerprint: string, principal: ClientPrincipal): void {
    this.#present.set(fingerprint, principal);
    if (this.#present.size <= MAX_PRESENT) return;
    for (const [oldest] of this.#present) {
      this.#present.delete(oldest);
      return;
    }
  }

  #key({ fingerprint, publicKey }: NodeInfo): KeyObject {
    let key = this.#keys.get(fingerprint);
    if (key === undefined) {
      key = importPublicKey(publicKey);
      if (this.#keys.size >= MAX_CACHED_KEYS) this.#keys.clear();
      this.#keys.set(fingerprint, key);
    }
    return key;
  }
}

function checkState(node: NodeInfo): void {
  const { state, clientId, fingerprint } = node;
  if (state === 'revoked') throw nodeRevoked(node);
  if (state === 'pending') {
    throw new TransportError('NODE_PENDING', `the operator has not approved the key ${fingerprint} of ${clientId} yet`, {
      hint: `Ask the operator to approve it: zk0-server node approve ${clientId}.`,
    });
  }
}
