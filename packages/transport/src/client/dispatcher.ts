import { Agent, EnvHttpProxyAgent, type Dispatcher } from 'undici';
import { TransportError } from '../errors.ts';
import { isLoopback } from '../protocol/http.ts';
import type { ClientTls } from './types.ts';

const CONNECT_TIMEOUT_MS = 10_000;

/** Where a proxy is named, as `curl` and most programs read it; lower case wins. */
export type ProxyEnvironment = Readonly<Record<string, string | undefined>>;

/**
 * Connections to one server: straight, or through the proxy that the environment names (`HTTPS_PROXY`, `HTTP_PROXY`, but not for
 * what `NO_PROXY` names). The loopback interface is always reached straight.
 *
 * @throws TransportError `CONNECTION_FAILED` for a proxy that is none, named without its credentials.
 */
export function createDispatcher(url: URL, tls: ClientTls | undefined, environment: ProxyEnvironment): Dispatcher {
  const connect = { timeout: CONNECT_TIMEOUT_MS, ...tls };
  // Silence is watched by `Http`, over request and reply together; undici's own limits are off.
  const options = { allowH2: false, pipelining: 1, headersTimeout: 0, bodyTimeout: 0, connect } as const;
  const read = (name: string): string => environment[name.toLowerCase()] ?? environment[name] ?? '';
  const httpProxy = read('HTTP_PROXY');
  const httpsProxy = read('HTTPS_PROXY');
  if (isLoopback(url.hostname) || (url.protocol === 'https:' ? httpsProxy : httpProxy) === '') return new Agent(options);
  const proxies = url.protocol === 'https:' ? { httpsProxy, httpProxy: '' } : { httpProxy, httpsProxy: '' };
  for (const proxy of Object.values(proxies)) assertProxy(proxy);
  return new EnvHttpProxyAgent({
    ...options,
    ...proxies,
    noProxy: read('NO_PROXY'),
    connectTimeout: CONNECT_TIMEOUT_MS,
    // What is said to the server inside the tunnel; the proxy itself is trusted as the system says.
    requestTls: { ...connect, allowH2: false },
  });
}

function assertProxy(proxy: string): void {
  if (proxy === '' || (URL.canParse(proxy) && /^(https?|socks5?):$/.test(new URL(proxy).protocol))) return;
  throw new TransportError('CONNECTION_FAILED', 'HTTP_PROXY or HTTPS_PROXY does not hold the address of a proxy', {
    hint: 'Give it as http://host:port, or name this server in NO_PROXY.',
  });
}
