import { createHash } from 'node:crypto';
import { parseDictionary } from 'structured-headers';

/** Digest of a message's bytes (RFC 9530). */
export const CONTENT_DIGEST = 'content-digest';

/** The value of `Content-Digest` for a body, as this package writes it. */
export function contentDigest(body: Uint8Array | string): string {
  return `sha-256=:${createHash('sha256').update(body).digest('base64')}:`;
}

/** Whether a `Content-Digest` header holds the SHA-256 of a body; digests of other kinds beside it are not looked at. */
export function matchesDigest(header: string, body: Uint8Array): boolean {
  const wanted = contentDigest(body);
  if (header === wanted) return true;
  try {
    const [given] = parseDictionary(header).get('sha-256') ?? [];
    return given instanceof ArrayBuffer && wanted === `sha-256=:${Buffer.from(given).toString('base64')}:`;
  } catch {
    return false;
  }
}
