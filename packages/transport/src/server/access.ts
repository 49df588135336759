import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { TransportError } from '../errors.ts';
import { isLoopback } from '../protocol/http.ts';

/** Who may talk to the server. */
export interface AccessRules {
  /** Shared secret of clients. */
  readonly token?: string;
  /** Shared secret of operators; the clients' when absent. */
  readonly adminToken?: string;
  /** Only names of this machine may be in `Host`: a web page cannot reach a local server under a name of its own. */
  readonly loopbackOnly: boolean;
}

/** @throws TransportError `UNAUTHORIZED` or `HOST_REFUSED`; looks at headers alone, before any body is read. */
export function checkAccess(headers: IncomingHttpHeaders, area: 'client' | 'admin', rules: AccessRules): void {
  const wanted = area === 'admin' ? (rules.adminToken ?? rules.token) : rules.token;
  if (wanted !== undefined) {
    const given = /^Bearer (.+)$/i.exec(headers.authorization ?? '')?.[1];
    if (given === undefined || !sameSecret(given, wanted)) {
      throw new TransportError('UNAUTHORIZED', given === undefined ? 'a token is needed' : 'the token is wrong', {
        hint: 'Give the token that the server was started with.',
      });
    }
  } else if (rules.loopbackOnly && !isLoopback(hostName(headers.host ?? ''))) {
    throw new TransportError('HOST_REFUSED', 'this server answers under names of its own machine only', {
      hint: 'Use http://127.0.0.1, or start the server with a token.',
    });
  }
}

/** Constant time: both are hashed, so that neither content nor length shows. */
function sameSecret(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

function hostName(host: string): string {
  return host.startsWith('[') ? host.slice(0, host.indexOf(']') + 1) : host.replace(/:\d+$/, '');
}
