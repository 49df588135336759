import { randomBytes } from 'node:crypto';
import { serializeDictionary, type BareItem, type InnerList, type Item } from 'structured-headers';
import type { NodeKey } from '../identity/key.ts';
import { DERIVED_COMPONENTS, isSignedHeader, signatureBase } from './base.ts';

/** The label of this protocol's signature; proxies may add signatures of their own under others. */
export const SIGNATURE_LABEL = 'zk0';
export const SIGNATURE_ALGORITHM = 'ed25519';

/** A request that is about to be sent, its header names in lower case. */
export interface UnsignedRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** @returns the headers that carry the signature. */
export type RequestSigner = (request: UnsignedRequest) => Readonly<Record<'signature-input' | 'signature', string>>;

/** What makes signatures repeat; for tests. */
export interface SignerOptions {
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  readonly nonce?: () => string;
}

/** Signs requests (RFC 9421, Ed25519) over method, path, query and every header of {@link isSignedHeader}, each with a nonce of its own. */
export function requestSigner(key: NodeKey, options: SignerOptions = {}): RequestSigner {
  const { now = Date.now, nonce = () => randomBytes(16).toString('base64url') } = options;
  return ({ method, target, headers }) => {
    const names = [...DERIVED_COMPONENTS, ...Object.keys(headers).filter(isSignedHeader)];
    const input: InnerList = [
      names.map((name): Item => [name, new Map<string, BareItem>()]),
      new Map<string, BareItem>([
        ['created', Math.floor(now() / 1000)],
        ['nonce', nonce()],
        ['keyid', key.fingerprint],
        ['alg', SIGNATURE_ALGORITHM],
      ]),
    ];
    const base = signatureBase({ method, target, header: (name) => headers[name] }, input);
    if (base === null) throw new Error(`${method} ${target} has a header that cannot be signed`);
    return {
      'signature-input': serializeDictionary(new Map([[SIGNATURE_LABEL, input]])),
      signature: serializeDictionary(new Map([[SIGNATURE_LABEL, [key.sign(Buffer.from(base)), new Map<string, BareItem>()]]])),
    };
  };
}
