import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { errorMessage, fingerprintOf, readPublicKey, type NodeSigner } from '@zk0/core';
import { TransportError } from '../errors.ts';
import { openSecretFile } from './secret-file.ts';

/** A node's Ed25519 key. The private half stays inside. */
export interface NodeKey extends NodeSigner {
  /** Names the key: SHA-256 of its 32 bytes in base64url. It is the `keyid` of signatures, and what operators compare. */
  readonly fingerprint: string;
}

/**
 * Reads a node's key from a PEM file (PKCS #8), or makes one. The file is readable by its owner only.
 *
 * @throws TransportError `SECRET_FILE_UNUSABLE` when the file cannot be read or made, is open to other users, or holds no Ed25519 key.
 */
export async function openNodeKey(path: string): Promise<NodeKey> {
  const pem = await openSecretFile(path, 'key file', () =>
    generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  );
  try {
    return nodeKey(createPrivateKey(pem));
  } catch (cause) {
    throw new TransportError('SECRET_FILE_UNUSABLE', `key file ${path}: it holds no Ed25519 key (${errorMessage(cause)})`, {
      cause,
      hint: 'Restore the file, or remove it and enrol again with a new key.',
    });
  }
}

/** A key that lives as long as the process; for tests and short-lived clients. */
export function generateNodeKey(): NodeKey {
  return nodeKey(generateKeyPairSync('ed25519').privateKey);
}

/** @throws Error for a key of another kind. */
export function nodeKey(privateKey: KeyObject): NodeKey {
  if (privateKey.asymmetricKeyType !== 'ed25519') throw new Error(`a key of type ${privateKey.asymmetricKeyType ?? 'none'}`);
  const { x: publicKey = '' } = createPublicKey(privateKey).export({ format: 'jwk' });
  return {
    publicKey,
    fingerprint: fingerprintOf(publicKey),
    sign: (bytes) => sign(null, bytes, privateKey),
  };
}

/**
 * A public key as others send it.
 *
 * @throws TransportError `MESSAGE_INVALID`
 */
export function importPublicKey(publicKey: string): KeyObject {
  const key = readPublicKey(publicKey);
  if (key === undefined) throw new TransportError('MESSAGE_INVALID', 'the public key is not 32 bytes in base64url');
  return key;
}
