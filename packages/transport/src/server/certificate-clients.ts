import type { IncomingMessage } from 'node:http';
import { TLSSocket, type PeerCertificate } from 'node:tls';
import { clientIdSchema, type ClientPrincipal } from '@zk0/core';
import { TransportError } from '../errors.ts';
import { claimedPrincipal, type ClientAuthenticator } from './clients.ts';

/** A subject alternative name of this form names a client; the common name does where there is none. */
const CLIENT_URI = 'URI:zk0:client:';
/** One of Node's list of alternative names; what holds a comma or a quote is written as a JSON string. */
const ALTERNATIVE_NAME = /([A-Za-z ]+:(?:"(?:[^"\\]|\\.)*"|[^,"]*))(?:, |$)/gy;

/** Clients that show a certificate of the authority that the server was given. */
export const certificateClients: ClientAuthenticator = {
  authenticate: (request) => Promise.resolve().then(() => certificatePrincipal(request)),
};

function certificatePrincipal(request: IncomingMessage): ClientPrincipal {
  const { socket } = request;
  if (!(socket instanceof TLSSocket)) throw new TransportError('UNAUTHORIZED', 'the connection has no TLS');
  const certificate = socket.getPeerCertificate() as Partial<PeerCertificate>;
  if (certificate.subject === undefined) {
    throw new TransportError('UNAUTHORIZED', 'a client certificate is needed', {
      hint: 'Give a certificate and its key: --tls-cert and --tls-key.',
    });
  }
  if (!socket.authorized) {
    // Declared as an Error, and in fact the code of what OpenSSL found.
    const problem: unknown = socket.authorizationError;
    throw new TransportError(
      'UNAUTHORIZED',
      `the client certificate of ${subject(certificate)}, issued by ${issuer(certificate)}, is not accepted (${String(problem)})`,
      { hint: 'Use a certificate of the authority that the server was started with (--tls-ca), and renew it before it expires.' },
    );
  }
  const named = namedByUri(certificate.subjectaltname ?? '') ?? first(certificate.subject.CN);
  const parsed = clientIdSchema.safeParse(named);
  if (!parsed.success) {
    throw new TransportError('UNAUTHORIZED', `the client certificate names ${JSON.stringify(named ?? '')}, which is no client id`, {
      hint: 'Name the client by a URI zk0:client:ID among the alternative names, or by the common name.',
    });
  }
  const principal = claimedPrincipal(request);
  if (principal.clientId !== parsed.data) {
    throw new TransportError('UNAUTHORIZED', `the certificate is of client ${parsed.data}, and the request comes from ${principal.clientId}`, {
      hint: 'Use the id that the certificate names.',
    });
  }
  return principal;
}

function namedByUri(names: string): string | undefined {
  for (const [, name = ''] of names.matchAll(ALTERNATIVE_NAME)) {
    if (name.startsWith(CLIENT_URI)) return name.slice(CLIENT_URI.length);
  }
  return undefined;
}

function subject({ subject: name }: Partial<PeerCertificate>): string {
  return JSON.stringify(first(name?.CN) ?? '');
}

function issuer({ issuer: name }: Partial<PeerCertificate>): string {
  return JSON.stringify(first(name?.CN) ?? first(name?.O) ?? '');
}

/** A name can have a part more than once. */
function first(part: string | readonly string[] | undefined): string | undefined {
  return typeof part === 'string' ? part : part?.[0];
}
