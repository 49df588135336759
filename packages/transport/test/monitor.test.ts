import { Zk0Error } from '@zk0/core';
import { afterEach, describe, expect, it } from 'vitest';
import { createTransportServer, type Monitoring, type TransportServer } from '../src/index.ts';
import { Scope } from './harness.ts';

const scope = new Scope();
const servers: TransportServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
  await scope.dispose();
});

async function server(options: { readonly operatorToken?: string; readonly monitoring?: Monitoring } = {}): Promise<TransportServer> {
  const { blobs, service } = await scope.server();
  const monitoring: Monitoring = { version: '1.2.3', metrics: () => Promise.resolve('zk0_info 1\n') };
  const made = await createTransportServer({ host: '127.0.0.1', port: 0, blobs, service, monitoring, ...options });
  servers.push(made);
  return made;
}

const get = (url: string, path: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> => fetch(`${url}${path}`, { headers });

describe('what watches a server', () => {
  it('is told without a credential that the server is well, its version, and nothing else', async () => {
    const { url } = await server({ operatorToken: 'secret' });
    const reply = await get(url, '/health');
    expect([reply.status, await reply.json()]).toEqual([200, { status: 'ok', version: '1.2.3' }]);
  });

  it('gets metrics with the operators’ token, and without one where operators need none', async () => {
    const guarded = await server({ operatorToken: 'secret' });
    for (const headers of [{}, { authorization: 'Bearer wrong' }]) {
      const refused = await get(guarded.url, '/metrics', headers);
      expect([refused.status, await refused.json()]).toMatchObject([401, { error: { code: 'UNAUTHORIZED' } }]);
    }
    const open = await server();
    for (const reply of [await get(guarded.url, '/metrics', { authorization: 'Bearer secret' }), await get(open.url, '/metrics')]) {
      expect(reply.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
      expect([reply.status, await reply.text()]).toEqual([200, 'zk0_info 1\n']);
    }
  });

  it('is no web page, and hears of a failure without what failed', async () => {
    const open = await server();
    for (const path of ['/health', '/metrics']) expect((await get(open.url, path, { origin: 'http://evil.example' })).status).toBe(403);
    const failing = await server({ monitoring: { version: '1', metrics: () => Promise.reject(new Zk0Error('LEDGER_UNUSABLE', 'the ledger cannot be read')) } });
    const failed = await get(failing.url, '/metrics');
    expect(failed.status).toBeGreaterThanOrEqual(400);
    expect(await failed.json()).toMatchObject({ error: { code: 'LEDGER_UNUSABLE' } });
  });

  it('finds nothing on a server that offers nothing', async () => {
    const { blobs, service } = await scope.server();
    const made = await createTransportServer({ host: '127.0.0.1', port: 0, blobs, service });
    servers.push(made);
    for (const path of ['/health', '/metrics']) expect((await get(made.url, path)).status).not.toBe(200);
  });
});
