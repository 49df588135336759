import { readFileSync } from 'node:fs';
import { connect as tcpConnect } from 'node:net';
import { Packr } from 'msgpackr';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Task } from '@zk0/core';
import { adminClient, createTransportServer, MAX_MESSAGE_BYTES } from '../src/index.ts';
import { decodeEnvelope, decodeError } from '../src/protocol/codec.ts';
import { contentDigest } from '../src/protocol/digest.ts';
import { ask, makeTask, randomBytes, Scope, sha256, TestService, until, type Answer } from './harness.ts';

const scope = new Scope();
afterEach(() => scope.dispose());

const pack = (value: unknown): Buffer => new Packr({ useRecords: false }).pack(value);
const identity = { 'zk0-client': 'client-1', 'zk0-instance': 'instance-1' };
const message = (url: string, body: Uint8Array, headers: Record<string, string> = {}): Promise<Answer> =>
  ask(url, { method: 'POST', path: '/messages', headers: { ...identity, 'content-type': 'application/msgpack', 'content-digest': contentDigest(body), ...headers }, body });
/** The identity as lines of a raw request. */
const HEAD = 'zk0-client: client-1\r\nzk0-instance: instance-1\r\n';
const codeOf = ({ body }: Answer): string | undefined => decodeError(body)?.code;

describe('hostile messages', () => {
  const join = { name: '', agent: '', profile: {} };

  it.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(0), 'MESSAGE_INVALID'],
    ['noise', randomBytes(1000), 'MESSAGE_INVALID'],
    ['no map', pack([1, 2]), 'MESSAGE_INVALID'],
    ['a message that goes on after its end', Buffer.concat([pack({ v: 2, type: 'join', body: join }), pack(1)]), 'MESSAGE_INVALID'],
    ['a bomb of nested arrays', Buffer.from(Array.from({ length: 24_000 }, () => [0xdc, 0xff, 0xff]).flat()), 'MESSAGE_INVALID'],
    ['an array that claims 2³² entries', Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff]), 'MESSAGE_INVALID'],
    ['a string that claims 2³² bytes', Buffer.from([0xdb, 0xff, 0xff, 0xff, 0xff]), 'MESSAGE_INVALID'],
    ['nesting 10 000 deep', pack({ v: 2, type: 'join', body: { ...join, profile: { deep: 0 } } }), ''],
    ['a record definition', new Packr({ useRecords: true }).pack({ v: 2, type: 'join', body: { name: 7 } }), 'MESSAGE_INVALID'],
    ['a future version', pack({ v: 3, type: 'join', body: join }), 'PROTOCOL_VERSION'],
    ['version 1, which named its sender', pack({ v: 1, type: 'join', body: { ...join, clientId: 'a' } }), 'PROTOCOL_VERSION'],
    ['no version', pack({ type: 'join', body: join }), 'MESSAGE_INVALID'],
    ['an unknown type', pack({ v: 2, type: 'grant', body: {} }), 'MESSAGE_INVALID'],
    ['an inherited name as type', pack({ v: 2, type: 'constructor', body: {} }), 'MESSAGE_INVALID'],
    ['an unknown key', pack({ v: 2, type: 'join', body: { ...join, admin: true } }), 'MESSAGE_INVALID'],
    ['another client named as the sender', pack({ v: 2, type: 'join', body: { ...join, clientId: 'client-2' } }), 'MESSAGE_INVALID'],
    ['bytes in the profile', pack({ v: 2, type: 'join', body: { ...join, profile: { data: Buffer.alloc(10) } } }), 'MESSAGE_INVALID'],
    ['a date in the profile', pack({ v: 2, type: 'join', body: { ...join, profile: { date: new Date() } } }), 'MESSAGE_INVALID'],
    ['NaN in the profile', pack({ v: 2, type: 'join', body: { ...join, profile: { value: NaN } } }), 'MESSAGE_INVALID'],
    ['too large a profile', pack({ v: 2, type: 'join', body: { ...join, profile: { text: 'x'.repeat(70_000) } } }), 'MESSAGE_INVALID'],
    ['NaN as a loss', pack({ v: 2, type: 'heartbeat', body: { progress: { taskId: 't', phase: '', step: 0, totalSteps: 1, loss: NaN } } }), 'MESSAGE_INVALID'],
  ])('are refused: %s', async (what, body, code) => {
    const { server, service } = await scope.server();
    let sent = body;
    if (what.startsWith('nesting')) {
      const deep = Buffer.concat([Buffer.alloc(10_000, 0x91), Buffer.from([0])]);
      const [before, after] = split(pack({ v: 2, type: 'join', body: { ...join, profile: { deep: 'HERE' } } }), pack('HERE'));
      sent = Buffer.concat([before, deep, after]);
    }
    const answer = await message(server.url, sent);
    expect(answer.status).toBe(400);
    expect(codeOf(answer)).toBe(code === '' ? 'MESSAGE_INVALID' : code);
    expect(service.joined.size).toBe(0);
    // The server is well: the next client is served.
    const client = scope.client(server.url);
    await client.join({ name: '', agent: '', profile: {} });
  });

  it('need the digest of their body, and have it', async () => {
    const { server, service } = await scope.server();
    const body = pack({ v: 2, type: 'join', body: join });
    const raw = await ask(server.url, { method: 'POST', path: '/messages', headers: { ...identity, 'content-type': 'application/msgpack' }, body });
    expect([raw.status, codeOf(raw)]).toEqual([400, 'MESSAGE_INVALID']);
    for (const digest of [contentDigest(randomBytes(9)), 'sha-256=:AAAA:', 'sha-512=:AAAA:', 'nonsense', '']) {
      const answer = await message(server.url, body, { 'content-digest': digest });
      expect([digest, answer.status, codeOf(answer)]).toEqual([digest, 400, 'MESSAGE_DAMAGED']);
    }
    expect(service.joined.size).toBe(0);
    expect((await message(server.url, body, { 'content-digest': `sha-512=:AAAA:, ${contentDigest(body)}` })).status).toBe(200);
  });

  it('say which versions the server reads', async () => {
    const { server } = await scope.server();
    const answer = await message(server.url, pack({ v: 9, type: 'poll', body: {} }));
    expect(decodeError(answer.body)).toMatchObject({ code: 'PROTOCOL_VERSION', supported: { min: 2, max: 2 } });
  });

  it('do not reach prototypes', async () => {
    const { server, service } = await scope.server();
    // {"v":2,"type":"join","body":{…,"profile":{"__proto__":{"admin":true}}}}
    const [before, after] = split(pack({ v: 2, type: 'join', body: { ...join, profile: { HEREHEREH: { admin: true } } } }), pack('HEREHEREH'));
    await message(server.url, Buffer.concat([before, pack('__proto__'), after]));
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined();
    expect(service.joined.get('client-1')?.profile['admin']).toBeUndefined();
  });

  it('above the limit are refused by their announcement, unread', async () => {
    const { server } = await scope.server();
    const { port } = new URL(server.url);
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = tcpConnect(Number(port), '127.0.0.1');
      let text = '';
      socket.setEncoding('latin1').on('data', (chunk: string) => { text += chunk; }).on('close', () => { resolve(text); }).on('error', reject);
      // Not one byte of the body is ever sent.
      socket.write(`POST /messages HTTP/1.1\r\nhost: 127.0.0.1\r\n${HEAD}content-type: application/msgpack\r\ncontent-digest: x\r\ncontent-length: ${MAX_MESSAGE_BYTES + 1}\r\n\r\n`);
    });
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toContain('BODY_TOO_LARGE');
  });

  it('above the limit without announcement are cut off at the limit', async () => {
    const { server } = await scope.server();
    const { port } = new URL(server.url);
    let written = 0;
    const answer = await new Promise<string>((resolve) => {
      const socket = tcpConnect(Number(port), '127.0.0.1');
      let text = '';
      socket.setEncoding('latin1').on('data', (chunk: string) => { text += chunk; }).on('error', () => undefined);
      socket.on('close', () => { resolve(text); });
      socket.write(`POST /messages HTTP/1.1\r\nhost: 127.0.0.1\r\n${HEAD}content-type: application/msgpack\r\ncontent-digest: x\r\ntransfer-encoding: chunked\r\n\r\n`);
      const more = (): void => {
        if (socket.destroyed || written > 64 << 20) return;
        written += 65_536;
        socket.write(`10000\r\n${'x'.repeat(65_536)}\r\n`, () => setImmediate(more));
      };
      more();
    });
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(written).toBeLessThan(16 << 20);
  });

  it('are not sent by this side either', async () => {
    const { server } = await scope.server();
    const client = scope.client(server.url);
    await expect(client.join({ name: 'x'.repeat(1000), agent: '', profile: {} })).rejects.toMatchObject({ code: 'MESSAGE_INVALID' });
    const values = { weights: new Float32Array(3) } as unknown as Record<string, number>;
    const result = { taskId: 't', runId: 'r', round: 0, attempt: 1, outcome: { ok: true, numExamples: 1, metrics: values } } as const;
    await expect(client.result(result)).rejects.toMatchObject({ code: 'MESSAGE_INVALID' });
  });

  it('do not come from the application: an answer that does not fit is the server’s failure', async () => {
    const { server, service } = await scope.server();
    const logged: string[] = [];
    const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: (text: string) => logged.push(text) };
    const strict = await createTransportServer({ host: '127.0.0.1', port: 0, blobs: await scope.store(), service, log });
    scope.defer(() => strict.close());
    service.give('client-1', makeTask({ round: -1 }) satisfies Task);
    service.joined.set('client-1', { ...join });
    const answer = await message(strict.url, pack({ v: 2, type: 'poll', body: {} }));
    expect(answer.status).toBe(500);
    expect(codeOf(answer)).toBe('INTERNAL');
    expect(logged).toHaveLength(1);
    expect(server.port).not.toBe(strict.port);
  });
});

describe('hostile blob requests', () => {
  it.each(['..%2f..%2fetc%2fpasswd', 'ABCDEF'.padEnd(64, 'A'), '0'.repeat(63), '0'.repeat(65), `${'0'.repeat(64)}%00`, '%2e%2e'])(
    'for %s are refused',
    async (hash) => {
      const { server } = await scope.server();
      for (const [method, path] of [['GET', `/blobs/${hash}`], ['POST', `/uploads/${hash}`], ['PATCH', `/uploads/${hash}`]] as const) {
        const answer = await ask(server.url, { method, path, headers: { ...identity, 'upload-length': '1' } });
        expect([400, 404]).toContain(answer.status);
      }
    },
  );

  it('get exactly the range that they ask for', async () => {
    const { server, blobs } = await scope.server();
    const bytes = randomBytes(1000);
    const { hash } = await blobs.put(bytes);
    const path = `/blobs/${hash}`;
    const range = (value: string): Promise<Answer> => ask(server.url, { path, headers: { ...identity, range: value } });
    for (const [value, start, end] of [['bytes=0-0', 0, 1], ['bytes=10-19', 10, 20], ['bytes=990-', 990, 1000], ['bytes=-5', 995, 1000], ['bytes=0-99999', 0, 1000]] as const) {
      const answer = await range(value);
      expect(answer.status).toBe(206);
      expect(answer.headers['content-range']).toBe(`bytes ${start}-${end - 1}/1000`);
      expect(answer.body).toEqual(Buffer.from(bytes.subarray(start, end)));
    }
    for (const value of ['bytes=1000-', 'bytes=5000-6000', 'bytes=-0']) {
      const answer = await range(value);
      expect(answer.status).toBe(416);
      expect(answer.headers['content-range']).toBe('bytes */1000');
    }
    for (const value of ['bytes=5-2', 'bytes=0-1,5-6', 'lines=1-2', 'bytes=x-y', 'bytes=-', `bytes=${'9'.repeat(30)}-`]) {
      const answer = await range(value);
      expect(answer.status).toBe(200);
      expect(answer.body).toHaveLength(1000);
    }
    expect((await ask(server.url, { path, headers: { ...identity, 'if-none-match': `"${hash}"` } })).status).toBe(304);
    const head = await ask(server.url, { method: 'HEAD', path, headers: identity });
    expect(head.headers).toMatchObject({ 'content-length': '1000', etag: `"${hash}"`, 'accept-ranges': 'bytes' });
    expect((await ask(server.url, { path: `/blobs/${'0'.repeat(64)}`, headers: identity })).status).toBe(404);
  });

  it('cannot upload past the end, at another place, or without saying where', async () => {
    const { server, blobs } = await scope.server({ blobs: await scope.store({ maxBlobBytes: 5000 }) });
    const bytes = randomBytes(1000);
    const hash = sha256(bytes);
    const path = `/uploads/${hash}`;
    const patch = async (headers: Record<string, string>, body: Uint8Array): Promise<[number, string | undefined]> => {
      const answer = await ask(server.url, { method: 'PATCH', path, headers: { ...identity, 'content-length': String(body.length), ...headers }, body });
      return [answer.status, codeOf(answer)];
    };
    expect(await patch({ 'upload-length': '1000', 'upload-offset': '1' }, bytes)).toEqual([413, 'BODY_TOO_LARGE']);
    expect(await patch({ 'upload-length': '1000', 'upload-offset': '500' }, bytes.subarray(500))).toEqual([409, 'UPLOAD_OFFSET']);
    expect(await patch({ 'upload-length': '1000' }, bytes)).toEqual([400, 'MESSAGE_INVALID']);
    expect(await patch({ 'upload-length': '1e3', 'upload-offset': '0' }, bytes)).toEqual([400, 'MESSAGE_INVALID']);
    expect(await patch({ 'upload-length': '5001', 'upload-offset': '0' }, bytes)).toEqual([413, 'BLOB_TOO_LARGE']);
    expect(await patch({ 'upload-length': '1000', 'upload-offset': '0' }, randomBytes(1000, 2))).toEqual([422, 'HASH_MISMATCH']);
    expect(await blobs.has(hash)).toBe(false);
    expect(await patch({ 'upload-length': '1000', 'upload-offset': '0' }, bytes)).toEqual([200, undefined]);
    expect(await blobs.has(hash)).toBe(true);
  });

  it('are told when the store is full, and come later', async () => {
    const { server } = await scope.server({ blobs: await scope.store({ maxTotalBytes: 500 }) });
    const answer = await ask(server.url, { method: 'POST', path: `/uploads/${'0'.repeat(64)}`, headers: { ...identity, 'upload-length': '501' } });
    expect([answer.status, codeOf(answer), answer.headers['retry-after']]).toEqual([507, 'STORE_FULL', '30']);
  });

  it('that stop sending are cut off, and their bytes kept', async () => {
    const { server, blobs } = await scope.server({ limits: { pollWaitMs: 50, noProgressMs: 200 } });
    const bytes = randomBytes(1000);
    const hash = sha256(bytes);
    const { port } = new URL(server.url);
    await new Promise<void>((resolve) => {
      const socket = tcpConnect(Number(port), '127.0.0.1');
      socket.on('close', () => { resolve(); }).on('error', () => undefined);
      socket.write(`PATCH /uploads/${hash} HTTP/1.1\r\nhost: 127.0.0.1\r\n${HEAD}upload-length: 1000\r\nupload-offset: 0\r\ncontent-length: 1000\r\n\r\n`);
      socket.write(bytes.subarray(0, 400));
    });
    // What had arrived is written some time after the connection has broken.
    await vi.waitFor(async () => { expect(await blobs.beginUpload({ hash, byteLength: 1000 }, { owner: 'client-1' })).toBe(400); }, 20_000);
  });
});

describe('access', () => {
  it('to the operators’ routes needs their token, however the address is written', async () => {
    const { server, service } = await scope.server({ operatorToken: 'operator secret' });
    await scope.client(server.url).join({ name: '', agent: '', profile: {} });
    const admin = (token?: string): ReturnType<typeof adminClient> => {
      const client = adminClient({ url: server.url, ...(token === undefined ? {} : { token }) });
      scope.defer(() => client.close());
      return client;
    };
    expect(await admin('operator secret').status()).toEqual({ clients: ['client-1'] });
    expect(await admin('operator secret').stop()).toEqual({ runId: 'run-1' });
    expect(service.operators).toEqual(['operator token']);
    for (const token of [undefined, 'operator secres', '']) {
      await expect(admin(token).status()).rejects.toMatchObject({
        code: 'UNAUTHORIZED',
        message: expect.not.stringContaining('secre') as string,
      });
    }
    const { host } = new URL(server.url);
    const paths = ['/admin/status', '/%61dmin/status', `http://${host}/admin/status`, '/admin/status?x=1', '/admin/nothing', '/admin/events'];
    for (const path of paths) {
      const answer = await ask(server.url, { path, headers: identity });
      expect([path, answer.status, answer.headers['www-authenticate']]).toEqual([path, 401, 'Bearer']);
    }
    for (const path of ['//admin/status', '/x/../admin/status', '/ADMIN/status', '/admin%2fstatus', '/admin;x/status']) {
      expect([path, (await ask(server.url, { path, headers: identity })).status]).toEqual([path, 404]);
    }
  });

  it('needs a client that says who it is', async () => {
    const { server, service } = await scope.server();
    const join = pack({ v: 2, type: 'join', body: { name: '', agent: '', profile: {} } });
    for (const name of ['', '../../x', 'a\u00e4', 'x'.repeat(65), '-x']) {
      for (const header of ['zk0-client', 'zk0-instance']) {
        const answer = await message(server.url, join, { [header]: name });
        expect([answer.status, codeOf(answer)]).toEqual([401, 'UNAUTHORIZED']);
      }
    }
    for (const path of ['/messages', `/blobs/${'0'.repeat(64)}`, `/uploads/${'0'.repeat(64)}`]) {
      const answer = await ask(server.url, { method: path.startsWith('/blobs') ? 'GET' : 'POST', path });
      expect([path, answer.status]).toEqual([path, 401]);
    }
    expect(service.joined.size).toBe(0);
  });

  it('to a blob is the service’s to allow, before anything is said about it', async () => {
    const { server, service, blobs } = await scope.server();
    const { hash, byteLength } = await blobs.put(randomBytes(1000));
    service.forbidden.add(hash);
    for (const [method, path] of [['GET', 'blobs'], ['HEAD', 'blobs'], ['POST', 'uploads'], ['PATCH', 'uploads']] as const) {
      const answer = await ask(server.url, {
        method, path: `/${path}/${hash}`, headers: { ...identity, 'upload-length': String(byteLength), 'upload-offset': '0', 'content-length': '0' },
      });
      expect([method, answer.status]).toEqual([method, 403]);
    }
  });

  it('is refused to web pages on every route', async () => {
    const { server, service } = await scope.server();
    const leave = pack({ v: 2, type: 'leave', body: {} });
    for (const headers of [{ origin: 'http://127.0.0.1' }, { origin: 'null' }, { 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'none' }]) {
      expect((await message(server.url, leave, headers)).status).toBe(403);
      for (const path of ['/admin/status', '/messages', `/blobs/${'0'.repeat(64)}`, '/']) {
        for (const method of ['GET', 'OPTIONS']) {
          const answer = await ask(server.url, { method, path, headers: { ...identity, ...headers } });
          expect([path, answer.status, JSON.parse(answer.body.toString())]).toMatchObject([path, 403, { error: { code: 'BROWSER_REFUSED' } }]);
        }
      }
    }
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/json', '']) {
      const answer = await message(server.url, leave, { 'content-type': type });
      expect([answer.status, answer.body.toString('latin1')]).toEqual([400, expect.stringContaining('MESSAGE_INVALID')]);
    }
    expect(service.left).toEqual([]);
  });

  it('is refused before a body is read', async () => {
    const { server } = await scope.server();
    const { port } = new URL(server.url);
    const answer = await new Promise<string>((resolve) => {
      const socket = tcpConnect(Number(port), '127.0.0.1');
      socket.setEncoding('latin1').once('data', (chunk: string) => { resolve(chunk); socket.destroy(); });
      socket.write(`PATCH /uploads/${'0'.repeat(64)} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1000000000\r\n\r\n`);
    });
    expect(answer).toMatch(/^HTTP\/1\.1 401 /);
    expect(answer.toLowerCase()).toContain('connection: close');
  });

  it('without keys is for names of this machine: no web page gets in by a name of its own', async () => {
    const { server } = await scope.server();
    const status = async (host: string): Promise<number> => (await ask(server.url, { path: '/admin/status', headers: { host } })).status;
    expect(await status('evil.example')).toBe(421);
    expect(await status('127.0.0.1.evil.example')).toBe(421);
    expect(await status('localhost:1234')).toBe(200);
    expect(await status('[::1]:1234')).toBe(200);
  });

  it('without keys is not for a proxy that passes on requests of others', async () => {
    const { server } = await scope.server();
    for (const name of ['x-forwarded-for', 'forwarded', 'via', 'x-real-ip']) {
      const answer = await ask(server.url, { path: '/admin/status', headers: { [name]: '192.0.2.1' } });
      expect([answer.status, answer.body.toString()]).toEqual([403, expect.stringContaining('INSECURE')]);
    }
    const trusting = await scope.server({ allowInsecure: true });
    expect((await ask(trusting.server.url, { path: '/admin/status', headers: { via: '1.1 proxy' } })).status).toBe(200);
  });

  it('that is refused leaves one line in the log, not one for each request', async () => {
    const lines: { text: string; fields: unknown }[] = [];
    const warn = (text: string, fields?: unknown): void => { lines.push({ text, fields }); };
    const log = { debug: () => undefined, info: () => undefined, warn, error: () => undefined };
    const { server } = await scope.server({ operatorToken: 'operator secret', log });
    for (let attempt = 0; attempt < 50; attempt++) {
      await ask(server.url, { path: '/admin/status', headers: { authorization: `Bearer guess-${attempt}` } });
    }
    expect(lines).toEqual([{ text: "refused: the operator's token is wrong", fields: { code: 'UNAUTHORIZED', from: '127.0.0.1' } }]);
    expect(JSON.stringify(lines)).not.toContain('guess');
  });

  it('for operators takes JSON alone, which a page of another site cannot send', async () => {
    const { server, service } = await scope.server();
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', undefined]) {
      const headers: Record<string, string> = type === undefined ? {} : { 'content-type': type };
      const answer = await ask(server.url, { method: 'POST', path: '/admin/stop', headers, body: Buffer.from('{}') });
      expect(answer.status).toBe(400);
    }
    const broken = await ask(server.url, { method: 'POST', path: '/admin/stop', headers: { 'content-type': 'application/json' }, body: Buffer.from('{') });
    expect(broken.status).toBe(400);
    expect(service.stopped).toEqual([]);
  });

  it('to what is not there is answered as such', async () => {
    const { server } = await scope.server();
    expect((await ask(server.url, { path: '/admin/secret' })).status).toBe(404);
    expect((await ask(server.url, { method: 'DELETE', path: `/blobs/${'0'.repeat(64)}` })).status).toBe(404);
  });

  it('over plain HTTP stays on this machine unless that is said', async () => {
    const blobs = await scope.store();
    const options = { host: '0.0.0.0', port: 0, blobs, service: new TestService() };
    await expect(createTransportServer(options)).rejects.toMatchObject({ code: 'INSECURE' });
    const tls = { key: readFileSync(new URL('fixtures/server.key', import.meta.url), 'utf8'), cert: readFileSync(new URL('fixtures/server.crt', import.meta.url), 'utf8') };
    await expect(createTransportServer({ ...options, tls, operatorToken: 'x' })).rejects.toMatchObject({ code: 'INSECURE', message: expect.stringContaining('any client id') as string });
    await expect(createTransportServer({ ...options, tls: { ...tls, clientCa: tls.cert } })).rejects.toMatchObject({ code: 'INSECURE', message: expect.stringContaining('operator') as string });
    const server = await createTransportServer({ ...options, allowInsecure: true });
    scope.defer(() => server.close());
    await scope.client(server.url).join({ name: '', agent: '', profile: {} });
    expect(() => adminClient({ url: 'http://example.org', token: 'x' })).toThrow('in the clear');
    expect(() => adminClient({ url: 'http://example.org', token: 'x', allowInsecure: true })).not.toThrow();
  });

  it.each(['', 'example.org', 'ftp://example.org', 'http://user:pass@example.org', 'http://h/?a=b'])('to %j is no address', (url) => {
    expect(() => scope.client(url)).toThrow('is not a server’s address'.replace('’', "'"));
  });
});

describe('hostile replies', () => {
  it('are refused by the client', () => {
    expect(() => decodeEnvelope(new Uint8Array(MAX_MESSAGE_BYTES + 1))).toThrow('the limit is');
    expect(() => decodeEnvelope(pack({ v: 3, type: 'poll', body: {} }))).toThrow('protocol version 3');
    expect(decodeError(randomBytes(50))).toBeNull();
  });
});

describe('a port', () => {
  it('that is taken is named', async () => {
    const { server } = await scope.server();
    await expect(scope.server({ port: server.port })).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      message: expect.stringContaining(String(server.port)) as string,
    });
  });

  it('of a host that is not this one is named', async () => {
    await expect(scope.server({ host: '192.0.2.1', allowInsecure: true })).rejects.toMatchObject({ code: 'ADDRESS_UNAVAILABLE' });
  });
});

describe('closing', () => {
  it('answers polls, ends event streams, and leaves no socket behind', async () => {
    const { server, service } = await scope.server();
    const client = scope.client(server.url);
    await client.join({ name: '', agent: '', profile: {} });
    const waiting = client.poll();
    const cut = expect(waiting).rejects.toMatchObject({ code: 'CANCELLED' });
    const admin = adminClient({ url: server.url });
    scope.defer(() => admin.close());
    const following = admin.follow().next();
    await until(() => service.waiting === 2);
    const begun = performance.now();
    await Promise.all([server.close(), server.close()]);
    // Whoever is not done after two seconds is cut off.
    expect(performance.now() - begun).toBeLessThan(1900);
    expect(await following).toEqual({ done: true, value: undefined });
    expect(service.waiting).toBe(0);
    await client.close();
    await cut;
  });

  it('cuts an upload that does not end', async () => {
    const { server } = await scope.server();
    const { port } = new URL(server.url);
    const ended = new Promise<void>((resolve) => {
      const socket = tcpConnect(Number(port), '127.0.0.1');
      // What a server that is closing already answers has to be read: a socket does not end before.
      socket.resume().on('close', () => { resolve(); }).on('error', () => undefined);
      socket.write(`PATCH /uploads/${'0'.repeat(64)} HTTP/1.1\r\nhost: 127.0.0.1\r\n${HEAD}upload-length: 9\r\nupload-offset: 0\r\ncontent-length: 9\r\n\r\nx`);
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    await server.close();
    await ended;
  });
});

function split(bytes: Buffer, at: Buffer): [before: Buffer, after: Buffer] {
  const position = bytes.indexOf(at);
  return [bytes.subarray(0, position), bytes.subarray(position + at.length)];
}
