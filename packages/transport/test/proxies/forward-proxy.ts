import { createServer, request } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';

/** A proxy that clients are configured to use (`HTTPS_PROXY`, `HTTP_PROXY`): CONNECT for TLS, whole addresses for plain HTTP. */
export interface ForwardProxy {
  readonly url: string;
  readonly tunnels: number;
  readonly forwarded: number;
  close(): Promise<void>;
}

/**
 * @param names - what names stand for: the proxy resolves them, as a company's does. Others are refused.
 * @param credentials - `user:password` that it asks for, as they stand in an address
 */
export async function forwardProxy(names: Readonly<Record<string, string>>, credentials?: string): Promise<ForwardProxy> {
  const sockets = new Set<Socket>();
  const state = { tunnels: 0, forwarded: 0 };
  const wanted = credentials === undefined ? undefined : `Basic ${Buffer.from(decodeURIComponent(credentials)).toString('base64')}`;
  const resolve = (authority: string): { host: string; port: number } | undefined => {
    const target = names[authority];
    if (target === undefined) return undefined;
    const { hostname, port } = new URL(target);
    return { host: hostname, port: Number(port) };
  };
  const server = createServer((incoming, reply) => {
    const url = new URL(incoming.url ?? '');
    const target = resolve(url.host);
    if (wanted !== undefined && incoming.headers['proxy-authorization'] !== wanted) {
      reply.writeHead(407, { 'proxy-authenticate': 'Basic' }).end();
      return;
    }
    if (target === undefined) {
      reply.writeHead(502, { 'content-type': 'text/html' }).end('<html>no such host</html>');
      return;
    }
    state.forwarded++;
    const headers = { ...incoming.headers };
    for (const name of ['proxy-authorization', 'proxy-connection']) Reflect.deleteProperty(headers, name);
    const onward = request({ ...target, method: incoming.method, path: url.pathname + url.search, headers }, (answer) => {
      reply.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(reply);
    });
    onward.on('error', () => reply.destroy());
    reply.on('close', () => onward.destroy());
    incoming.pipe(onward);
  });
  server.on('connect', (incoming, client: Socket) => {
    const target = resolve(incoming.url ?? '');
    if (wanted !== undefined && incoming.headers['proxy-authorization'] !== wanted) {
      client.end('HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n');
      return;
    }
    if (target === undefined) {
      client.end('HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n');
      return;
    }
    state.tunnels++;
    const onward = connect(target, () => client.write('HTTP/1.1 200 Connection established\r\n\r\n'));
    for (const [one, other] of [[client, onward], [onward, client]] as const) {
      sockets.add(one);
      one.on('error', () => other.destroy()).on('close', () => { sockets.delete(one); other.destroy(); });
      one.pipe(other);
    }
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${credentials === undefined ? '' : `${credentials}@`}127.0.0.1:${port}`,
    get tunnels() { return state.tunnels; },
    get forwarded() { return state.forwarded; },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
