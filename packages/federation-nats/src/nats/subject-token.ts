const PLAIN = /^[A-Za-z0-9_-]+$/;
const ENCODED = /^=(?<text>[A-Za-z0-9_-]*)$/;

/** A name as one token of a NATS subject or key: as it is where that can be, else as base64url after `=`. Different names differ. */
export function toToken(name: string): string {
  return PLAIN.test(name) ? name : `=${Buffer.from(name).toString('base64url')}`;
}

/** The name that {@link toToken} made a token of. */
export function fromToken(token: string): string {
  const encoded = ENCODED.exec(token)?.groups?.['text'];
  return encoded === undefined ? token : Buffer.from(encoded, 'base64url').toString();
}
