import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
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

  it('is refused when nobody vouches for the server', async () => {
    const { server: listening } = await scope.server({ tls: server });
    const client = scope.client(listening.url, { retry: { firstContactMs: 0 } });
    await expect(client.join(introduction)).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  });

  it('lets in those with a certificate only, where the server asks for one', async () => {
    const { server: listening } = await scope.server({ tls: { ...server, clientCa: pem('ca.crt') } });
    const known = scope.client(listening.url, { tls: { ca: pem('ca.crt'), key: pem('client.key'), cert: pem('client.crt') } });
    await known.join(introduction);
    const stranger = scope.client(listening.url, { tls: { ca: pem('ca.crt') }, retry: { firstContactMs: 0 } });
    await expect(stranger.join(introduction)).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  });
});
