import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { TransportError } from '../errors.ts';
import { isLoopback } from '../protocol/http.ts';

/** What tells a proxy, behind which others may be. */
const FORWARDED = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'] as const;

/** What a server that lets anybody on its machine in has to look at. */
export interface BrowserRules {
  /** Only names of this machine may be in `Host`: that gives away a page whose own name resolves to loopback. */
  readonly ownNamesOnly: boolean;
  /** No proxy may stand in front: everybody behind it would seem to be on this machine. */
  readonly noProxies: boolean;
}

/** What a server that has a page of its own has to look at besides. */
export interface PageRules extends BrowserRules {
  /** Whoever reaches the page is an operator: only an address may be in `Host`, since a name can be made to resolve to this server. */
  readonly addressesOnly: boolean;
  /** The server itself speaks TLS: its page does too. */
  readonly secure: boolean;
}

/**
 * Keeps web pages out. A page in the browser of somebody on this machine reaches a server on loopback; browsers mark such
 * requests with `Origin` or `Sec-Fetch-Site`, and no client of this protocol sends either.
 *
 * @throws TransportError `BROWSER_REFUSED`, `HOST_REFUSED`, `INSECURE`
 */
export function refuseBrowsers(headers: IncomingHttpHeaders, rules: BrowserRules): void {
  if (headers.origin !== undefined || headers['sec-fetch-site'] !== undefined) {
    throw new TransportError('BROWSER_REFUSED', 'this server does not answer web pages here', {
      hint: 'Use zk0-client or zk0-server.',
    });
  }
  refuseStrangers(headers, rules);
}

/**
 * Lets this server's own page in, and no other one: what a browser says of the page that asks must be this very origin. A person may
 * follow a link to the document from anywhere, which shows nothing that is not the same for everybody.
 *
 * @param isDocument - the request is for a file of the page, which holds no data
 * @throws TransportError `BROWSER_REFUSED`, `HOST_REFUSED`, `INSECURE`
 */
export function admitOwnPage(method: string, headers: IncomingHttpHeaders, rules: PageRules, isDocument: boolean): void {
  const { host, origin } = headers;
  const site = headers['sec-fetch-site'];
  const navigates = isDocument && headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document';
  const changes = method !== 'GET' && method !== 'HEAD';
  const isOwn = origin === undefined ? !changes : host !== undefined && isOriginOf(origin, host, rules.secure);
  if (!isOwn || (site !== undefined && site !== 'same-origin' && !navigates)) {
    throw new TransportError('BROWSER_REFUSED', 'the request comes from another web page than this server’s own', {
      hint: 'Open the address of the server itself. A proxy in front of it has to pass on the Host header.',
    });
  }
  refuseStrangers(headers, rules);
  if (rules.addressesOnly && !isAddress(hostName(host ?? ''))) {
    throw new TransportError('HOST_REFUSED', 'the page of a server that asks nobody who they are answers under addresses only', {
      hint: 'Use the server’s IP address, or start the server with a token for operators (ZK0_ADMIN_TOKEN).',
    });
  }
}

function refuseStrangers(headers: IncomingHttpHeaders, { ownNamesOnly, noProxies }: BrowserRules): void {
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

/** Whether a page of this origin came from this host. A proxy may speak TLS for a server that does not. */
function isOriginOf(origin: string, host: string, secure: boolean): boolean {
  return origin === `https://${host}` || (!secure && origin === `http://${host}`);
}

function isAddress(name: string): boolean {
  return isLoopback(name) || isIP(name.replace(/^\[|\]$/g, '')) !== 0;
}

function hostName(host: string): string {
  return host.startsWith('[') ? host.slice(0, host.indexOf(']') + 1) : host.replace(/:\d+$/, '');
}
