import { createPrivateKey, createPublicKey, diffieHellman, hkdfSync, randomBytes, type KeyObject } from 'node:crypto';
import { SecureAggregationError } from './errors.ts';

/** Bytes of an X25519 key, public or private, and of every other secret here. */
export const KEY_BYTES = 32;

/** What stands before the 32 bytes of a key in its standard encodings (RFC 8410). */
const PRIVATE_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex');
const PUBLIC_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');

/** An X25519 key pair (RFC 7748), each key 32 bytes. */
export interface KeyPair {
  readonly privateKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

/** A new key pair from the system's generator. */
export function generateKeyPair(): KeyPair {
  const privateKey = randomBytes(KEY_BYTES);
  return { privateKey, publicKey: publicKeyOf(privateKey) };
}

/** The public key of a private one. @throws SecureAggregationError `SECURE_KEY_INVALID` */
export function publicKeyOf(privateKey: Uint8Array): Uint8Array {
  const { x } = createPublicKey(privateObject(privateKey)).export({ format: 'jwk' });
  return Buffer.from(x!, 'base64url');
}

/**
 * What two parties agree on: X25519, then HKDF with SHA-256 over it, so that each purpose has a key of its own.
 *
 * @param purpose what the key is for, the same on both sides.
 * @param size bytes of the key.
 * @throws SecureAggregationError `SECURE_KEY_INVALID` for a key of another length, or a public one that every private key gives the same with.
 */
export function agree(privateKey: Uint8Array, publicKey: Uint8Array, purpose: string, size: number): Uint8Array {
  let shared: Uint8Array;
  try {
    shared = diffieHellman({ privateKey: privateObject(privateKey), publicKey: publicObject(publicKey) });
  } catch (cause) {
    throw new SecureAggregationError('SECURE_KEY_INVALID', 'no secret can be agreed on with this public key', { cause, hint: 'The peer is broken or hostile: leave it out.' });
  }
  return derive(shared, purpose, size);
}

/** Whether a secret can be agreed on with a public key, whatever the private one. */
export function isUsable(publicKey: Uint8Array): boolean {
  try {
    agree(generateKeyPair().privateKey, publicKey, 'check', KEY_BYTES);
    return true;
  } catch (error) {
    if (error instanceof SecureAggregationError) return false;
    throw error;
  }
}

/** A key for one purpose, from a secret: HKDF with SHA-256. */
export function derive(secret: Uint8Array, purpose: string, size: number): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, 'zk0 secure aggregation', purpose, size));
}

function privateObject(key: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PRIVATE_PREFIX, checked(key)]), format: 'der', type: 'pkcs8' });
}

function publicObject(key: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([PUBLIC_PREFIX, checked(key)]), format: 'der', type: 'spki' });
}

function checked(key: Uint8Array): Uint8Array {
  if (key.byteLength === KEY_BYTES) return key;
  throw new SecureAggregationError('SECURE_KEY_INVALID', `a key of ${key.byteLength} bytes, not ${KEY_BYTES}`);
}
