import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { adminClient, certificateFingerprint, enroll, generateNodeKey, openNodeRegistry } from '../src/index.ts';
import { randomBytes, Scope } from './harness.ts';

const scope = new Scope();
afterEach(() => scope.dispose());

const pem = (name: string): string => readFileSync(new URL(`fixtures/${name}`, import.meta.url), 'utf8');
const server = { key: pem('server.key'), cert: pem('server.crt') };
const introduction = { name: '', agent: '', profile: {} };

describe('TLS', () => {
  it('carries messages and blobs', async () => {
    const { server: listening, blobs } = await scope.server({ tls: server });
    expect(listening.url).toMatch(/^https:/);
    const client = scope.client(listening.url, { tls: { ca: pem('ca.crt') } });
    await client.join(introduction);
    const local = await scope.store();
    const { hash } = await local.put(randomBytes(1_000_000));
    await client.upload(hash, local);
    expect(await blobs.has(hash)).toBe(true);
    const back = await scope.store();
    await client.download(hash, 1_000_000, back);
    expect(await back.has(hash)).toBe(true);
  });

  it.each([['no authority', {}], ['another authority', { ca: pem('client-ca.crt') }]])(
    'is refused in one clear line when %s vouches for the server',
    async (_what, tls) => {
      const { server: listening } = await scope.server({ tls: server });
      const client = scope.client(listening.url, { tls, retry: { firstContactMs: 0 } });
      await expect(client.join(introduction)).rejects.toMatchObject({
        code: 'CERTIFICATE_REFUSED',
        message: expect.stringMatching(/^https:\/\/127\.0\.0\.1:\d+: the server's certificate is not accepted: no authority that this machine trusts has signed it$/) as string,
        hint: expect.stringContaining('--tls-ca') as string,
      });
    },
  );

  it('is carried by the one certificate that is known by its fingerprint, whatever its authority and name, and by no other', async () => {
    const { server: listening } = await scope.server({ tls: { key: pem('named-server.key'), cert: pem('named-server.crt') } });
    const status = async (url: string, cert: string): Promise<unknown> => {
      const admin = adminClient({ url, tls: { fingerprint: certificateFingerprint(cert) } });
      try {
        return [await admin.status(), await admin.status()];
      } finally {
        await admin.close();
      }
    };
    expect(await status(listening.url, pem('named-server.crt'))).toEqual([{ clients: [] }, { clients: [] }]);
    await expect(status(listening.url, server.cert)).rejects.toMatchObject({
      code: 'CERTIFICATE_REFUSED', message: expect.stringContaining('it is not the one that this server was started with') as string,
    });
    const { server: plain } = await scope.server();
    await expect(status(plain.url.replace('http:', 'https:'), server.cert)).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  });

  it('is refused under a name that the certificate does not have', async () => {
    const { server: listening } = await scope.server({ tls: server });
    const client = scope.client(`https://127.0.0.2:${listening.port}`, { tls: { ca: pem('ca.crt') }, retry: { firstContactMs: 0 } });
    // 127.0.0.2 is another address of this machine, where nothing listens on most systems.
    await expect(client.join(introduction)).rejects.toMatchObject({ code: expect.stringMatching('CERTIFICATE_REFUSED|CONNECTION_REFUSED') as string });
  });

  it('material that cannot be used is refused', async () => {
    await expect(scope.server({ tls: { key: 'none', cert: server.cert } })).rejects.toMatchObject({ code: 'CERTIFICATE_REFUSED' });
    await expect(scope.server({ tls: { key: pem('client.key'), cert: server.cert } })).rejects.toMatchObject({ code: 'CERTIFICATE_REFUSED' });
  });
});

describe('a client certificate', () => {
  const certificate = (name: string): { ca: string; key: string; cert: string } => ({
    ca: pem('ca.crt'), key: pem(`${name}.key`), cert: pem(`${name}.crt`),
  });
  const guarded = (): ReturnType<Scope['server']> =>
    scope.server({ tls: { ...server, clientCa: pem('client-ca.crt') }, operatorToken: 'operator' });

  it('says who a client is, by its common name or a URI among its alternative names', async () => {
    const { server: listening, service } = await guarded();
    await scope.client(listening.url, { clientId: 'client-1', tls: certificate('client') }).join(introduction);
    await scope.client(listening.url, { clientId: 'kitchen', tls: certificate('client-uri') }).join(introduction);
    expect([...service.joined.keys()]).toEqual(['client-1', 'kitchen']);
  });

  it.each([
    ['of another client', 'client-uri', 'the certificate is of client kitchen, and the request comes from client-1'],
    ['that names no client', 'client-nameless', 'the client certificate names "no id here", which is no client id'],
    ['of another authority', 'stranger', 'the client certificate of "client-1", issued by "zk0 test other-ca", is not accepted (UNABLE_TO_VERIFY_LEAF_SIGNATURE)'],
    ['that has expired', 'expired', 'the client certificate of "client-1", issued by "zk0 test client-ca", is not accepted (CERT_HAS_EXPIRED)'],
    ['of nobody', undefined, 'a client certificate is needed'],
  ])('%s is refused in one clear line', async (_what, name, message) => {
    const { server: listening, service } = await guarded();
    const tls = name === undefined ? { ca: pem('ca.crt') } : certificate(name);
    await expect(scope.client(listening.url, { tls }).join(introduction)).rejects.toMatchObject({ code: 'UNAUTHORIZED', message });
    expect(service.joined.size).toBe(0);
  });

  it('does not make an operator; a token does, with or without a certificate', async () => {
    const { server: listening } = await guarded();
    const status = async (tls: object, token?: string): Promise<unknown> => {
      const admin = adminClient({ url: listening.url, tls, ...(token === undefined ? {} : { token }) });
      scope.defer(() => admin.close());
      return admin.status();
    };
    await expect(status(certificate('client'))).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    expect(await status({ ca: pem('ca.crt') }, 'operator')).toEqual({ clients: [] });
  });

  it('can be had beside keys: a request that is signed is judged by its signature', async () => {
    const registry = openNodeRegistry(join(await scope.directory(), 'nodes.sqlite'));
    scope.defer(() => registry.close());
    const { server: listening, service } = await scope.server({
      tls: { ...server, clientCa: pem('client-ca.crt') }, operatorToken: 'operator', registry,
    });
    const key = generateNodeKey();
    const { token } = await registry.createToken();
    const ca = { ca: pem('ca.crt') };
    const { serverId } = await enroll({ url: listening.url, tls: ca, token, key, clientId: 'garage', instance: 'i', dataset: '' });
    await scope.client(listening.url, { clientId: 'garage', tls: ca, enrolment: { key, serverId } }).join(introduction);
    await scope.client(listening.url, { clientId: 'client-1', tls: certificate('client') }).join(introduction);
    await expect(scope.client(listening.url, { clientId: 'garage', tls: certificate('client') }).join(introduction)).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    expect([...service.joined.keys()]).toEqual(['garage', 'client-1']);
  });
});
