import type { IncomingHttpHeaders } from 'node:http';
import { TransportError } from '../errors.ts';
import { isLoopback } from '../protocol/http.ts';

/** What tells a proxy, behind which others may be. */
const FORWARDED = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'] as const;

/** What a server that lets anybody on its machine in has to look at. */
export interface BrowserRules {
  /** Only names of this machine may be in `Host`: a page whose own name resolves to loopback is told by that. */
  readonly ownNamesOnly: boolean;
  /** No proxy may stand in front: everybody behind it would seem to be on this machine. */
  readonly noProxies: boolean;
}

/**
 * Keeps web pages out. A page in the browser of somebody on this machine reaches a server on loopback; browsers mark such
 * requests with `Origin` or `Sec-Fetch-Site`, and no client of this protocol sends either.
 *
 * @throws TransportError `BROWSER_REFUSED`, `HOST_REFUSED`, `INSECURE`
 */
export function refuseBrowsers(headers: IncomingHttpHeaders, { ownNamesOnly, noProxies }: BrowserRules): void {
  if (headers.origin !== undefined || headers['sec-fetch-site'] !== undefined) {
    throw new TransportError('BROWSER_REFUSED', 'this server does not answer web pages', {
      hint: 'Use zk0-client or zk0-server.',
    });
  }
  if (ownNamesOnly && !isLoopback(hostName(headers.host ?? ''))) {
    throw new TransportError('HOST_REFUSED', 'this server answers under names of its own machine only', {
      hint: 'Use http://127.0.0.1, or start the server with keys for its clients.',
    });
  }
  const forwarded = noProxies ? FORWARDED.find((name) => headers[name] !== undefined) : undefined;
  if (forwarded !== undefined) {
    throw new TransportError('INSECURE', `a proxy passes on requests (${forwarded}) to a server that asks nobody who they are`, {
      hint: 'Start the server with keys for its clients, or say --insecure where the network itself is trusted.',
    });
  }
}

function hostName(host: string): string {
  return host.startsWith('[') ? host.slice(0, host.indexOf(']') + 1) : host.replace(/:\d+$/, '');
}
