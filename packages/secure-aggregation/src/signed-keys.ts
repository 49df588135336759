import { verify } from 'node:crypto';
import { fingerprintOf, readPublicKey, type NodeSigner } from '@zk0/core';
import { SecureAggregationError } from './errors.ts';
import type { Seat } from './member.ts';
import type { PublicKeys } from './secrets.ts';

/** A member's signature of the keys that it makes known for one sum, by a key that lasts. */
export interface KeySignature {
  /** The Ed25519 key that signed: 32 bytes in base64url. */
  readonly publicKey: string;
  /** 64 bytes. */
  readonly signature: Uint8Array;
}

/** Signs the keys that a member makes known: for this sum, under its name, and for nothing else. */
export function signKeys(seat: Seat, keys: PublicKeys, signer: NodeSigner): KeySignature {
  return { publicKey: signer.publicKey, signature: signer.sign(statement(seat, keys)) };
}

/**
 * Checks that keys are those of a member that is known by its fingerprint, whoever passed them on.
 *
 * @param seat the sum, and the member that the keys are said to be of.
 * @param fingerprint of the key that has to have signed them.
 * @throws SecureAggregationError `SECURE_KEY_UNTRUSTED`
 */
export function checkSignedKeys(seat: Seat, keys: PublicKeys, signed: KeySignature | undefined, fingerprint: string): void {
  if (signed === undefined) throw untrusted(seat, 'its keys are not signed');
  if (fingerprintOf(signed.publicKey) !== fingerprint) throw untrusted(seat, `its keys are signed by ${fingerprintOf(signed.publicKey)}, not by ${fingerprint}`);
  const key = readPublicKey(signed.publicKey);
  if (key === undefined || !verify(null, statement(seat, keys), key, signed.signature)) throw untrusted(seat, 'the signature of its keys does not hold');
}

/** What is signed. Every part but the names has one length, and the names are JSON, so that no two statements are the same bytes. */
function statement({ context, member }: Seat, { encryption, masking, seedHash }: PublicKeys): Uint8Array {
  return Buffer.concat([encryption, masking, seedHash, Buffer.from(JSON.stringify(['zk0 secure aggregation keys', context, member]))]);
}

function untrusted({ member }: Seat, what: string): SecureAggregationError {
  return new SecureAggregationError('SECURE_KEY_UNTRUSTED', `${member}: ${what}`, {
    hint: 'Compare fingerprints with its owner (it prints its own when it starts). If yours is right, the server passes on keys of somebody else: do not take part.',
  });
}
