import { createPrivateKey, createPublicKey } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import fc from 'fast-check';
import { parseDictionary, type InnerList } from 'structured-headers';
import { describe, expect, it } from 'vitest';
import { generateNodeKey, importPublicKey, nodeKey } from '../identity/key.ts';
import { signatureBase, splitTarget } from './base.ts';
import { NonceMemory } from './nonces.ts';
import { requestSigner } from './sign.ts';
import { checkSignature, readSignature } from './verify.ts';

/** The Ed25519 key of RFC 9421, B.1.4. */
const RFC_KEY = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF
-----END PRIVATE KEY-----
`;

describe('the test vector of RFC 9421, B.2.6', () => {
  const headers: Record<string, string> = {
    host: 'example.com',
    date: 'Tue, 20 Apr 2021 02:07:55 GMT',
    'content-type': 'application/json',
    'content-length': '18',
  };
  const request = { method: 'POST', target: '/foo?param=Value&Pet=dog', header: (name: string) => headers[name] };
  const parameters = '("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"';
  const signature = 'wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==';

  it('gives its signature base, and its signature', () => {
    const input = parseDictionary(`sig-b26=${parameters}`).get('sig-b26') as InnerList;
    const base = signatureBase(request, input);
    expect(base).toBe(
      [
        '"date": Tue, 20 Apr 2021 02:07:55 GMT',
        '"@method": POST',
        '"@path": /foo',
        '"@authority": example.com',
        '"content-type": application/json',
        '"content-length": 18',
        `"@signature-params": ${parameters}`,
      ].join('\n'),
    );
    expect(Buffer.from(nodeKey(createPrivateKey(RFC_KEY)).sign(Buffer.from(base!))).toString('base64')).toBe(signature);
  });

  it('is of a key that other libraries read the same way', () => {
    const { publicKey } = nodeKey(createPrivateKey(RFC_KEY));
    expect(Buffer.from(publicKey, 'base64url').toString('hex')).toBe('26b40b8f93fff3d897112f7ebc582b232dbd72517d082fe83cfb30ddce43d1bb');
    expect(importPublicKey(publicKey).equals(createPublicKey(createPrivateKey(RFC_KEY)))).toBe(true);
  });
});

it.each([
  ['too short', 'AAAA'],
  ['too long', 'A'.repeat(44)],
  ['written in another way than the one that there is', `${'A'.repeat(42)}B`],
  ['in another alphabet', `${'A'.repeat(40)}+/A`],
])('a public key that is %s is refused', (_what, text) => {
  expect(() => importPublicKey(text)).toThrow(expect.objectContaining({ code: 'MESSAGE_INVALID' }) as Error);
});

const key = generateNodeKey();
const publicKey = importPublicKey(key.publicKey);
const headers = {
  'zk0-client': 'kitchen',
  'zk0-instance': 'i-1',
  'zk0-server': 'server-1',
  'content-type': 'application/msgpack',
  'content-digest': 'sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:',
  range: 'bytes=7-',
  'upload-offset': '1',
  'upload-length': '2',
};
const sign = requestSigner(key, { now: () => 1_800_000_000_123 });
const received = (parts: { method?: string; url?: string; headers?: Record<string, string | undefined> } = {}): IncomingMessage => {
  const made = { ...headers, ...sign({ method: 'POST', target: '/messages', headers }) };
  return { method: 'POST', url: '/messages', ...parts, headers: { ...made, ...parts.headers } } as unknown as IncomingMessage;
};
const check = (request: IncomingMessage): void => { checkSignature(request, readSignature(request), publicKey); };

describe('a signed request', () => {
  it('is taken as it stands, with what proxies add', () => {
    const request = received({ headers: { host: 'elsewhere', 'x-forwarded-for': '192.0.2.1', via: '1.1 proxy' } });
    expect(readSignature(request)).toMatchObject({ keyId: key.fingerprint, createdAt: 1_800_000_000_000 });
    check(request);
  });

  it.each([
    ['another method', { method: 'GET' }],
    ['another path', { url: '/messages/' }],
    ['a query', { url: '/messages?x=1' }],
    ['an empty query', { url: '/messages?' }],
    ...Object.entries(headers)
      .filter(([name]) => name !== 'content-type')
      .map(([name, value]): [string, { headers: Record<string, string | undefined> }] => [`another ${name}`, { headers: { [name]: `${value}0` } }]),
    ['a header removed', { headers: { 'content-digest': undefined } }],
    ['a header repeated', { headers: { 'zk0-client': 'kitchen, kitchen' } }],
  ])('is refused with %s', (what, parts) => {
    // An empty query is written like an absent one (RFC 9421, section 2.2.7), and means the same.
    if (what === 'an empty query') check(received(parts));
    else expect(() => { check(received(parts)); }).toThrow(expect.objectContaining({ code: 'SIGNATURE_INVALID' }) as Error);
  });

  it('is refused with a header beside the signed ones that says what it is about', () => {
    for (const name of ['upload-complete', 'zk0-other']) {
      expect(() => readSignature(received({ headers: { [name]: '1' } }))).toThrow(`it does not cover ${name}`);
    }
  });

  it('is refused for any bit of its signature, parameters and signed headers', () => {
    const names = ['signature', 'signature-input', 'zk0-client', 'content-digest'] as const;
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.nat(), fc.nat({ max: 6 }), (name, at, bit) => {
        const request = received();
        const original = request.headers[name] as string;
        const bytes = Buffer.from(original, 'latin1');
        bytes[at % bytes.length]! ^= 1 << bit;
        const altered = bytes.toString('latin1');
        request.headers[name] = altered;
        // Upper and lower case of base64 are different bytes, but its last character before the padding has bits that mean nothing.
        const sameBytes = name === 'signature' && sameSignature(altered, original);
        if (!sameBytes) expect(() => { check(request); }).toThrow(expect.objectContaining({ code: 'SIGNATURE_INVALID' }) as Error);
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    ['a component twice', '("@method" "@method" "@path" "@query" "zk0-client" "zk0-instance")'],
    ['no path', '("@method" "@query" "zk0-client" "zk0-instance")'],
    ['a component with a parameter', '("@method";req "@path" "@query" "zk0-client" "zk0-instance")'],
    ['a component that is unknown', '("@method" "@path" "@query" "zk0-client" "zk0-instance" "@secret")'],
    ['a header that is absent', '("@method" "@path" "@query" "zk0-client" "zk0-instance" "x-none")'],
    ['an item instead of a list', '"x"'],
  ])('is refused with %s', (_what, list) => {
    const input = `zk0=${list};created=1800000000;nonce="0123456789abcdef";keyid="k";alg="ed25519"`;
    const request = received({ headers: { 'content-digest': undefined, range: undefined, 'upload-offset': undefined, 'upload-length': undefined, 'zk0-server': undefined, 'signature-input': input } });
    expect(() => { check(request); }).toThrow(expect.objectContaining({ code: 'SIGNATURE_INVALID' }) as Error);
  });

  it.each(['created', 'nonce', 'keyid', 'alg'])('is refused without the parameter %s', (parameter) => {
    const request = received();
    request.headers['signature-input'] = String(request.headers['signature-input']).replace(new RegExp(`;${parameter}=[^;]+`), '');
    expect(() => readSignature(request)).toThrow(expect.objectContaining({ code: 'SIGNATURE_INVALID' }) as Error);
  });

  it('without a signature is told apart', () => {
    expect(() => readSignature(received({ headers: { signature: undefined } }))).toThrow(expect.objectContaining({ code: 'UNAUTHORIZED' }) as Error);
  });

  it('may carry signatures of others beside', () => {
    const request = received();
    request.headers['signature-input'] = `proxy=("@authority");created=1, ${String(request.headers['signature-input'])}`;
    request.headers['signature'] = `proxy=:AAAA:, ${String(request.headers['signature'])}`;
    check(request);
  });

  it('has a nonce of its own', () => {
    expect(readSignature(received()).nonce).not.toBe(readSignature(received()).nonce);
  });
});

it('a target is split as it stands', () => {
  expect(splitTarget('/a%20b/../c?x?y')).toEqual({ path: '/a%20b/../c', query: '?x?y' });
  expect(splitTarget('http://host:1/p')).toEqual({ path: '/p', query: '?' });
  expect(splitTarget('http://host')).toEqual({ path: '/', query: '?' });
  expect(splitTarget('//admin')).toEqual({ path: '//admin', query: '?' });
});

describe('nonces', () => {
  it('are taken once, each by its key', () => {
    const memory = new NonceMemory(300_000);
    expect(memory.take('a', 'n', 1000, 1000)).toBe('new');
    expect(memory.take('a', 'n', 1000, 2000)).toBe('used');
    expect(memory.take('b', 'n', 1000, 2000)).toBe('new');
  });

  it('are remembered as long as the signature would be taken, and no longer', () => {
    const memory = new NonceMemory(300_000);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10_000_000 }), fc.integer({ min: -300_000, max: 300_000 }), (now, skew) => {
        const created = now + skew;
        const nonce = `${now} ${skew}`;
        if (memory.take('k', nonce, created, now) !== 'new') return;
        expect(memory.take('k', nonce, created, Math.max(now, created + 300_000))).toBe('used');
      }),
    );
    memory.take('k', 'last', 100_000_000, 100_000_000);
    expect(memory.size).toBe(1);
  });

  it('have bounds, for each key and over all', () => {
    const memory = new NonceMemory(300_000, { maxPerKeyAndMinute: 3, maxTotal: 5 });
    const take = (keyId: string, count: number, at = 0): string[] =>
      Array.from({ length: count }, (_, index) => memory.take(keyId, `${at} ${index}`, at, at));
    expect(take('a', 4)).toEqual(['new', 'new', 'new', 'full']);
    expect(take('b', 3)).toEqual(['new', 'new', 'full']);
    expect(take('a', 1, 400_000)).toEqual(['new']);
    expect(memory.size).toBe(1);
  });
});

function sameSignature(a: string, b: string): boolean {
  const bytes = (text: string): string | undefined => /^zk0=:([A-Za-z0-9+/]+)==:/.exec(text)?.[1];
  const [left, right] = [bytes(a), bytes(b)];
  return left !== undefined && right !== undefined && Buffer.from(left, 'base64').equals(Buffer.from(right, 'base64'));
}
