import { Zk0Error, type Zk0ErrorOptions } from '@zk0/core';

/** What can go wrong on the wire; the same codes in thrown errors and in the server's replies. */
export const TRANSPORT_ERROR_CODES = [
  /** Nobody listens at the address. */
  'CONNECTION_REFUSED',
  /** The connection broke, or the name does not resolve, or TLS failed. */
  'CONNECTION_FAILED',
  /** Something else than this server answered: a proxy, a portal, another program. */
  'FOREIGN_ANSWER',
  /** No byte moved for as long as the limit allows. */
  'NO_PROGRESS',
  /** The request does not prove, or does not say, who sends it. */
  'UNAUTHORIZED',
  /** A signature that does not fit the request, or covers too little of it. */
  'SIGNATURE_INVALID',
  /** A request that came before, or was signed before the server started. */
  'SIGNATURE_REPLAYED',
  /** The sender's clock differs from the server's by more than is allowed. */
  'CLOCK_SKEW',
  /** A signed request for another server. */
  'WRONG_SERVER',
  /** The node has enrolled, and the operator has not approved it yet. */
  'NODE_PENDING',
  /** The operator revoked the node's key. */
  'NODE_REVOKED',
  /** No such node in the registry. */
  'NODE_UNKNOWN',
  /** An enrolment token that is unknown, expired, used up or revoked. */
  'TOKEN_REFUSED',
  /** No such enrolment token in the registry. */
  'TOKEN_UNKNOWN',
  /** Another node is enrolled under the client id. */
  'CLIENT_ID_TAKEN',
  /** The registry of nodes cannot be opened, read or written. */
  'REGISTRY_UNUSABLE',
  /** A file with a key or a token cannot be used. */
  'SECRET_FILE_UNUSABLE',
  /** A certificate that is not trusted, does not fit the address, or has expired. */
  'CERTIFICATE_REFUSED',
  /** Plain HTTP where it would leave this machine. */
  'INSECURE',
  /** The request names a host that this server is not known by. */
  'HOST_REFUSED',
  /** The request comes from a web page. */
  'BROWSER_REFUSED',
  /** The other side speaks another version. */
  'PROTOCOL_VERSION',
  /** A message that does not fit its schema. */
  'MESSAGE_INVALID',
  /** A message whose bytes do not have the digest that came with them. */
  'MESSAGE_DAMAGED',
  /** A body above its named limit. */
  'BODY_TOO_LARGE',
  /** The request is not one that this server knows. */
  'NOT_FOUND',
  /** Bytes that do not have the hash they were named by. */
  'HASH_MISMATCH',
  /** The server does not know this client (it restarted, perhaps): join again. */
  'NOT_JOINED',
  /** Another process works under the same client id. */
  'CLIENT_ID_IN_USE',
  /** Too many requests of this kind are open. */
  'BUSY',
  /** The server is shutting down. */
  'CLOSING',
  /** The server failed; its log says why. */
  'INTERNAL',
  /** Another process listens on the port. */
  'PORT_IN_USE',
  /** The host or port cannot be listened on. */
  'ADDRESS_UNAVAILABLE',
] as const;

export type TransportErrorCode = (typeof TRANSPORT_ERROR_CODES)[number];

/** A failure of the wire itself. */
export class TransportError extends Zk0Error {
  declare readonly code: TransportErrorCode;

  constructor(code: TransportErrorCode, message: string, options: Zk0ErrorOptions = {}) {
    super(code, message, options);
  }
}

/** An answer that is not this protocol's; its status is the only thing in it that means anything. */
export class ForeignAnswerError extends TransportError {
  readonly status: number;

  constructor(origin: string, status: number, contentType: string | undefined) {
    super('FOREIGN_ANSWER', `${origin}: something else answered (status ${status}, ${contentType?.slice(0, 100) ?? 'no content type'})`, {
      hint: 'Check the address, and the proxies on the way; the request is repeated meanwhile.',
    });
    this.status = status;
  }
}

/** The other side's application said no: its code, message and hint, as it sent them. */
export class RemoteError extends Zk0Error {
  /** HTTP status of the reply; 200 for a refusal that is a regular answer (a join that was not accepted). */
  readonly status: number;

  constructor(code: string, message: string, status: number, options: Zk0ErrorOptions = {}) {
    super(code, message, options);
    this.status = status;
  }
}

export function isTransportErrorCode(code: string): code is TransportErrorCode {
  return (TRANSPORT_ERROR_CODES as readonly string[]).includes(code);
}
