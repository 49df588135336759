import type { IncomingHttpHeaders } from 'node:http';
import { TransportError } from '../errors.ts';
import { isLoopback } from '../protocol/http.ts';

/**
 * Keeps web pages out. A page in the browser of somebody on this machine reaches a server on loopback; browsers mark such
 * requests with `Origin` or `Sec-Fetch-Site`, and no client of this protocol sends either.
 *
 * @param loopbackOnly - only names of this machine may be in `Host`: a page whose own name resolves to loopback is told by that.
 * @throws TransportError `BROWSER_REFUSED`, `HOST_REFUSED`
 */
export function refuseBrowsers(headers: IncomingHttpHeaders, loopbackOnly: boolean): void {
  if (headers.origin !== undefined || headers['sec-fetch-site'] !== undefined) {
    throw new TransportError('BROWSER_REFUSED', 'this server does not answer web pages', {
      hint: 'Use zk0-client or zk0-server.',
    });
  }
  if (loopbackOnly && !isLoopback(hostName(headers.host ?? ''))) {
    throw new TransportError('HOST_REFUSED', 'this server answers under names of its own machine only', {
      hint: 'Use http://127.0.0.1, or start the server with keys for its clients.',
    });
  }
}

function hostName(host: string): string {
  return host.startsWith('[') ? host.slice(0, host.indexOf(']') + 1) : host.replace(/:\d+$/, '');
}
