import { X509Certificate } from 'node:crypto';
import { TLSSocket } from 'node:tls';
import { Agent, buildConnector, EnvHttpProxyAgent, type Dispatcher } from 'undici';
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
 * With a fingerprint the server is reached straight.
 *
 * @throws TransportError `CONNECTION_FAILED` for a proxy that is none, named without its credentials.
 */
export function createDispatcher(url: URL, tls: ClientTls | undefined, environment: ProxyEnvironment): Dispatcher {
  const { fingerprint, ...material } = tls ?? {};
  const connect = { timeout: CONNECT_TIMEOUT_MS, ...material };
  // Silence is watched by `Http`, over request and reply together; undici's own limits are off.
  const options = { allowH2: false, pipelining: 1, headersTimeout: 0, bodyTimeout: 0, connect } as const;
  if (fingerprint !== undefined) return new Agent({ ...options, connect: pinnedConnector(fingerprint, connect) });
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

/** SHA-256 of a certificate, or of the first of a chain (PEM), in hexadecimal digits. @throws Error for what is no certificate */
export function certificateFingerprint(pem: string): string {
  return new X509Certificate(pem).fingerprint256;
}

/** Connects to a server that shows one certificate, and to no other. */
function pinnedConnector(fingerprint: string, options: buildConnector.BuildOptions): buildConnector.connector {
  // Without kept sessions every connection shows the certificate.
  const connect = buildConnector({ ...options, rejectUnauthorized: false, maxCachedSessions: 0 });
  return (target, callback) => {
    connect(target, (error, socket) => {
      if (error !== null) {
        callback(error, null);
        return;
      }
      if (socket instanceof TLSSocket && socket.getPeerX509Certificate()?.fingerprint256 === fingerprint) {
        callback(null, socket);
        return;
      }
      socket.destroy();
      callback(Object.assign(new Error('it is not the one that this server was started with'), { code: 'CERT_NOT_PINNED' }), null);
    });
  };
}

function assertProxy(proxy: string): void {
  if (proxy === '' || (URL.canParse(proxy) && /^(https?|socks5?):$/.test(new URL(proxy).protocol))) return;
  throw new TransportError('CONNECTION_FAILED', 'HTTP_PROXY or HTTPS_PROXY does not hold the address of a proxy', {
    hint: 'Give it as http://host:port, or name this server in NO_PROXY.',
  });
}
