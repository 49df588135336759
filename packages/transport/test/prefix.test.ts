import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { enroll, generateNodeKey, openNodeRegistry } from '../src/index.ts';
import { randomBytes, Scope } from './harness.ts';

const scope = new Scope();
afterEach(() => scope.dispose());

it('signed requests pass a proxy that removes a prefix and changes Host', async () => {
  const registry = openNodeRegistry(join(await scope.directory(), 'nodes.sqlite'));
  scope.defer(() => registry.close());
  const { server, service, blobs } = await scope.server({ registry, operatorToken: 'operator' });
  const proxy = createServer((incoming, outgoing) => {
    const path = incoming.url!.replace(/^\/federation/, '');
    const headers = { ...incoming.headers, host: 'inside', 'x-forwarded-for': '192.0.2.1', via: '1.1 proxy' };
    const passed = httpRequest(server.url + path, { method: incoming.method!, headers }, (reply) => {
      outgoing.writeHead(reply.statusCode!, reply.headers);
      reply.pipe(outgoing);
    });
    incoming.pipe(passed);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  scope.defer(() => new Promise((resolve) => { proxy.closeAllConnections(); proxy.close(resolve); }));
  const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/federation/`;

  const key = generateNodeKey();
  const { token } = await registry.createToken();
  const { serverId } = await enroll({ url, token, key, clientId: 'client-1', instance: 'instance-1', dataset: '' });
  const client = scope.client(url, { enrolment: { key, serverId } });
  await client.join({ name: '', agent: '', profile: {} });
  expect(service.joined.has('client-1')).toBe(true);
  const local = await scope.store();
  const { hash } = await local.put(randomBytes(100_000));
  await client.upload(hash, local);
  expect(await blobs.size(hash)).toBe(100_000);
});
