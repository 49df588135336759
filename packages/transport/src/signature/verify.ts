import { verify, type KeyObject } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isInnerList, parseDictionary, type InnerList, type Item } from 'structured-headers';
import { TransportError } from '../errors.ts';
import { DERIVED_COMPONENTS, isSignedHeader, signatureBase } from './base.ts';
import { SIGNATURE_ALGORITHM, SIGNATURE_LABEL } from './sign.ts';

/** What a request says about its signature; nothing of it is checked against a key yet. */
export interface ClaimedSignature {
  /** Fingerprint of the key. */
  readonly keyId: string;
  /** When the signature was made, by the sender's clock, in ms since 1970. */
  readonly createdAt: number;
  readonly nonce: string;
  readonly input: InnerList;
  readonly bytes: Uint8Array;
}

/**
 * Reads the signature of a request.
 *
 * @throws TransportError `UNAUTHORIZED` without one; `SIGNATURE_INVALID` when it is malformed or covers too little.
 */
export function readSignature({ headers }: IncomingMessage): ClaimedSignature {
  const inputs = headers['signature-input'];
  const signatures = headers['signature'];
  if (inputs === undefined || signatures === undefined) {
    throw new TransportError('UNAUTHORIZED', 'the request is not signed', {
      hint: 'Enrol with a token first (zk0-client enroll), and give the server’s address as it was given then.',
    });
  }
  const input = member(inputs);
  const bytes: unknown = member(signatures)[0];
  if (!isInnerList(input) || !(bytes instanceof ArrayBuffer)) throw invalid('it is malformed');
  const [components, parameters] = input;
  const created: unknown = parameters.get('created');
  const nonce: unknown = parameters.get('nonce');
  const keyId: unknown = parameters.get('keyid');
  if (parameters.get('alg') !== SIGNATURE_ALGORITHM) throw invalid(`its alg is not ${SIGNATURE_ALGORITHM}`);
  if (typeof created !== 'number' || !Number.isSafeInteger(created)) throw invalid('it does not say when it was created');
  if (typeof nonce !== 'string' || !/^[\w+/=-]{16,64}$/.test(nonce)) throw invalid('its nonce is not 16 to 64 characters of base64');
  if (typeof keyId !== 'string') throw invalid('it has no keyid');

  const covered = new Set<unknown>(components.map(([name]): unknown => name));
  const wanted = [...DERIVED_COMPONENTS, 'zk0-client', 'zk0-instance', ...Object.keys(headers).filter(isSignedHeader)];
  const missing = wanted.find((name) => !covered.has(name));
  if (missing !== undefined) throw invalid(`it does not cover ${missing}`);
  return { keyId, createdAt: created * 1000, nonce, input, bytes: new Uint8Array(bytes) };
}

/** @throws TransportError `SIGNATURE_INVALID` when the key did not sign this request as it stands. */
export function checkSignature(request: IncomingMessage, { input, bytes }: ClaimedSignature, key: KeyObject): void {
  const { method = '', url = '', headers } = request;
  const header = (name: string): string | undefined => {
    const value = headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  };
  const base = signatureBase({ method, target: url, header }, input);
  if (base === null || !verify(null, Buffer.from(base, 'latin1'), key, bytes)) {
    throw invalid('the request was altered on its way, or another key signed it');
  }
}

function member(header: string | string[]): Item | InnerList {
  let value;
  try {
    value = parseDictionary(String(header)).get(SIGNATURE_LABEL);
  } catch (cause) {
    throw invalid('it is malformed', cause);
  }
  if (value === undefined) throw invalid(`none is labelled ${SIGNATURE_LABEL}`);
  return value;
}

function invalid(why: string, cause?: unknown): TransportError {
  return new TransportError('SIGNATURE_INVALID', `the signature of the request is not valid: ${why}`, {
    cause,
    hint: 'Run the same release on both sides; docs/protocol.md shows what is signed.',
  });
}
