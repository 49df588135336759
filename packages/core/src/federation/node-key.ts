import { createHash, createPublicKey, type KeyObject } from 'node:crypto';

/** Bytes of an Ed25519 public key. */
const PUBLIC_KEY_BYTES = 32;

/** What signs for a node with its Ed25519 key. */
export interface NodeSigner {
  /** 32 bytes in base64url, 43 characters. */
  readonly publicKey: string;
  /** The Ed25519 signature (RFC 8032) of `bytes`, 64 bytes. */
  sign(bytes: Uint8Array): Uint8Array;
}

/** Names a node's public key, as people compare it: SHA-256 of its 32 bytes in base64url. */
export function fingerprintOf(publicKey: string): string {
  return createHash('sha256').update(Buffer.from(publicKey, 'base64url')).digest('base64url');
}

/** An Ed25519 public key as others send it: 32 bytes in base64url, written the one way that there is. Anything else is `undefined`. */
export function readPublicKey(publicKey: string): KeyObject | undefined {
  const bytes = Buffer.from(publicKey, 'base64url');
  if (bytes.byteLength !== PUBLIC_KEY_BYTES || bytes.toString('base64url') !== publicKey) return undefined;
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: publicKey }, format: 'jwk' });
}
