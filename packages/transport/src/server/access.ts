import { TransportError } from '../errors.ts';
import type { SharedNames } from '@zk0/storage';
import type { NodeRegistry } from '../identity/registry.ts';
import type { TransportLog } from '../log.ts';
import { isLoopback } from '../protocol/http.ts';
import type { BrowserRules, PageRules } from './browser-guard.ts';
import { certificateClients } from './certificate-clients.ts';
import { claimedClients, type ClientAuthenticator } from './clients.ts';
import { SignedClients } from './signed-clients.ts';

const DEFAULT_MAX_CLOCK_SKEW_MS = 300_000;

/** What decides who may talk to a server. */
export interface AccessOptions {
  readonly host: string;
  readonly tls: { readonly clientCa?: string } | undefined;
  readonly registry: NodeRegistry | undefined;
  readonly sharedNonces: SharedNames | undefined;
  readonly operatorToken: string | undefined;
  readonly allowInsecure: boolean;
  readonly maxClockSkewMs: number | undefined;
  readonly now: (() => number) | undefined;
  readonly log: TransportLog;
}

/** Who may talk to a server. */
export interface Access {
  readonly clients: ClientAuthenticator;
  /** Where nodes enrol. */
  readonly signed: SignedClients | undefined;
  readonly browsers: BrowserRules;
  /** What holds for this server's own page. */
  readonly page: PageRules;
}

/**
 * Decides how the senders of requests are known. Clients sign (`registry`), show a certificate (`tls.clientCa`), or may do either; with
 * neither they are taken at their word, which is for trying things out on one machine.
 *
 * @throws TransportError `INSECURE` for a server that others reach and that does not know them, or that they could read along.
 */
export function createAccess(options: AccessOptions): Access {
  const { host, tls, registry, operatorToken, allowInsecure, log, now = Date.now, maxClockSkewMs = DEFAULT_MAX_CLOCK_SKEW_MS, sharedNonces } = options;
  const certificates = tls?.clientCa !== undefined;
  const open = registry === undefined && !certificates;
  const loopback = isLoopback(host);
  const reachable = !loopback && !allowInsecure;
  if (tls === undefined && reachable) {
    throw new TransportError('INSECURE', `plain HTTP on ${host} would let anyone on the way read and change everything`, {
      hint: 'Give a TLS key and certificate, or say --insecure where the network itself is trusted.',
    });
  }
  if (open && reachable) {
    throw new TransportError('INSECURE', `anybody who reaches ${host} could take part under any client id`, {
      hint: 'Let nodes enrol with tokens, or ask for client certificates; or say --insecure where the network itself is trusted.',
    });
  }
  if (operatorToken === undefined && (!open || reachable)) {
    throw new TransportError('INSECURE', `anybody who reaches ${host} would be an operator`, { hint: 'Give a token for the operators.' });
  }
  const signed = registry === undefined ? undefined : new SignedClients({ registry, maxClockSkewMs, now, log, sharedNonces });
  const browsers = { ownNamesOnly: open && loopback, noProxies: open && loopback && !allowInsecure };
  return {
    clients: chooseClients(signed, certificates),
    signed,
    browsers,
    page: { ...browsers, addressesOnly: operatorToken === undefined, secure: tls !== undefined },
  };
}

function chooseClients(signed: SignedClients | undefined, certificates: boolean): ClientAuthenticator {
  if (signed === undefined) return certificates ? certificateClients : claimedClients;
  if (!certificates) return signed;
  return {
    authenticate: (request) =>
      request.headers['signature-input'] === undefined ? certificateClients.authenticate(request) : signed.authenticate(request),
  };
}
