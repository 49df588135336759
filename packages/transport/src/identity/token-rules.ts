import { createHash, randomBytes } from 'node:crypto';
import { InvalidArgumentError } from '@zk0/core';
import { TransportError } from '../errors.ts';
import { DEFAULT_TOKEN_LIFETIME_MS, MAX_NAME, MAX_TOKEN_USES, type NodeInfo, type TokenInfo, type TokenOptions } from './registry.ts';

/** Tokens begin like this, so that scanners for leaked secrets can find them. */
const TOKEN_PREFIX = 'zk0-';

/** A token that was drawn, and what is kept of it. */
export interface DrawnToken {
  readonly token: string;
  readonly hash: string;
  readonly info: TokenInfo;
}

/** Draws an enrolment token. @throws InvalidArgumentError */
export function drawToken({ uses = 1, expiresInMs = DEFAULT_TOKEN_LIFETIME_MS, needsApproval = false, note = '' }: TokenOptions, created: number): DrawnToken {
  if (!Number.isSafeInteger(uses) || uses < 1 || uses > MAX_TOKEN_USES) {
    throw new InvalidArgumentError(`a token for ${uses} uses; between 1 and ${MAX_TOKEN_USES} are possible`);
  }
  if (!(expiresInMs > 0) || !Number.isSafeInteger(created + Math.round(expiresInMs))) {
    throw new InvalidArgumentError(`a token that expires after ${expiresInMs} ms`);
  }
  if (note.length > MAX_NAME) throw new InvalidArgumentError(`a note of ${note.length} characters; at most ${MAX_NAME} are possible`);
  const token = TOKEN_PREFIX + randomBytes(32).toString('base64url');
  const hash = tokenHash(token);
  const info = { id: hash.slice(0, 8), uses, used: 0, needsApproval, note, createdAt: new Date(created), expiresAt: new Date(created + Math.round(expiresInMs)), revokedAt: null };
  return { token, hash, info };
}

/** Tokens have 256 random bits: a plain hash tells nothing about them. */
export function tokenHash(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/** @throws TransportError `TOKEN_REFUSED` for a token that nobody enrols with any more */
export function assertUsable({ revokedAt, expiresAt, used, uses }: TokenInfo, now: number): void {
  if (revokedAt !== null) throw tokenRefused('it was revoked');
  if (expiresAt.getTime() <= now) throw tokenRefused(`it expired at ${expiresAt.toISOString()}`);
  if (used >= uses) throw tokenRefused(uses === 1 ? 'it was used' : `it was used ${uses} times`);
}

export function tokenUnknownHere(): TransportError {
  return tokenRefused('it is none of this server’s', 'Check that it was copied whole, and the server’s address.');
}

export function tokenUnknown(id: string): TransportError {
  return new TransportError('TOKEN_UNKNOWN', `no enrolment token ${id}`, { hint: 'See zk0-server token list.' });
}

export function nodeUnknown(name: string): TransportError {
  return new TransportError('NODE_UNKNOWN', `no node ${name} has enrolled`, { hint: 'See zk0-server node list.' });
}

export function nodeRevoked({ clientId, fingerprint }: NodeInfo): TransportError {
  return new TransportError('NODE_REVOKED', `the operator revoked the key ${fingerprint} of ${clientId}`, {
    hint: 'Ask the operator for a token, and enrol again with a new key.',
  });
}

export function idTaken(clientId: string): TransportError {
  return new TransportError('CLIENT_ID_TAKEN', `another node is enrolled as ${clientId}`, {
    hint: 'Choose another --id, or ask the operator to revoke the other node.',
  });
}

function tokenRefused(why: string, hint = 'Ask the operator for a new token.'): TransportError {
  return new TransportError('TOKEN_REFUSED', `the enrolment token is refused: ${why}`, { hint });
}
