import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { SecureAggregationError } from './errors.ts';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Bytes that sealing adds. */
export const SEAL_BYTES = NONCE_BYTES + TAG_BYTES;

/**
 * Encrypts and authenticates with AES-256-GCM, under a random nonce.
 *
 * @param key 32 bytes.
 * @param about what the message is about; it is not sent, and must be the same when it is opened.
 */
export function seal(message: Uint8Array, key: Uint8Array, about: string): Uint8Array {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(about));
  return Buffer.concat([nonce, cipher.update(message), cipher.final(), cipher.getAuthTag()]);
}

/**
 * What was sealed.
 *
 * @throws SecureAggregationError `SECURE_SHARE_INVALID` when it was not sealed with this key and about this.
 */
export function unseal(sealed: Uint8Array, key: Uint8Array, about: string): Uint8Array {
  try {
    const nonce = sealed.subarray(0, NONCE_BYTES);
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
      .setAAD(Buffer.from(about))
      .setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
    return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
  } catch (cause) {
    throw new SecureAggregationError('SECURE_SHARE_INVALID', `${about}: the message cannot be opened`, { cause, hint: 'Somebody has changed it, or it was meant for another.' });
  }
}
