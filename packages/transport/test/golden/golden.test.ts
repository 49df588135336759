import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { nodeKey } from '../../src/identity/key.ts';
import { requestSigner } from '../../src/signature/sign.ts';
import { ask, Scope } from '../harness.ts';
import { GOLDEN, startFixedServer } from './fixed-server.ts';

const scope = new Scope();
afterEach(() => scope.dispose());

interface Exchange {
  readonly request: { readonly method: string; readonly target: string; readonly headers: Readonly<Record<string, string>>; readonly body: string };
  readonly answer: { readonly status: number; readonly body: string };
}

const exchanges = JSON.parse(readFileSync(new URL('exchange.json', import.meta.url), 'utf8')) as readonly Exchange[];
/** PKCS #8 of an Ed25519 seed (RFC 8410). */
const key = nodeKey(createPrivateKey({ key: Buffer.from(`302e020100300506032b657004220420${GOLDEN.privateKey}`, 'hex'), format: 'der', type: 'pkcs8' }));

describe('what a client in another language said', () => {
  it('is answered as it was, byte by byte, and is not taken a second time', async () => {
    const { server, service } = await startFixedServer(scope);
    for (const { request, answer } of exchanges) {
      const { method, target: path, headers } = request;
      const given = await ask(server.url, { method, path, headers: { ...headers }, body: Buffer.from(request.body, 'base64') });
      expect({ path, status: given.status, body: given.body.toString('base64') }).toEqual({ path, ...answer });
    }
    expect(service.results).toMatchObject([{ clientId: GOLDEN.clientId, outcome: { ok: true, numExamples: 64, metrics: { loss: 0.25 } } }]);
    expect(service.left).toEqual([GOLDEN.clientId]);
    const { request } = exchanges.at(-1)!;
    const again = await ask(server.url, {
      method: request.method, path: request.target, headers: { ...request.headers }, body: Buffer.from(request.body, 'base64'),
    });
    expect(again.status).toBe(401);
  });

  it('is signed as this package signs it', () => {
    for (const { request } of exchanges) {
      const { 'signature-input': input, signature, ...headers } = request.headers;
      const nonce = /nonce="([^"]+)"/.exec(input!)![1]!;
      const sign = requestSigner(key, { now: () => GOLDEN.created * 1000, nonce: () => nonce });
      expect(sign({ method: request.method, target: request.target, headers })).toEqual({ 'signature-input': input, signature });
    }
  });

  it('covers every kind of request', () => {
    const kinds = exchanges.map(({ request: { method, target } }) => `${method} ${target.replace(/[0-9a-f]{64}/, '…')}`);
    expect(new Set(kinds)).toEqual(new Set(['POST /enroll', 'POST /messages', 'GET /blobs/…', 'POST /uploads/…', 'PATCH /uploads/…']));
  });
});
