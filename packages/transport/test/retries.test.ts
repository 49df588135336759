import { createServer, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CancelledError, Random } from '@zk0/core';
import { afterEach, describe, expect, it } from 'vitest';
import { createTransportServer } from '../src/index.ts';
import { encodeMessage } from '../src/protocol/codec.ts';
import { contentDigest } from '../src/protocol/digest.ts';
import { choppingProxy } from './chopping-proxy.ts';
import { answer, makeTask, randomBytes, Scope, TestService, until } from './harness.ts';

const scope = new Scope();
afterEach(() => scope.dispose());

const introduction = { name: '', agent: '', profile: {} };

describe('retries', () => {
  /** A server that answers with what it is told, one reply a request, then for ever with the last. */
  async function scripted(...replies: ((reply: ServerResponse) => void)[]): Promise<{ url: string; requests: () => number }> {
    let requests = 0;
    const server = createServer((request, reply) => {
      const next = replies[Math.min(requests++, replies.length - 1)]!;
      request.resume().on('end', () => { next(reply); });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    scope.defer(() => new Promise((resolve) => { server.closeAllConnections(); server.close(resolve); }));
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests: () => requests };
  }
  const complete = (reply: ServerResponse): void => {
    answer(reply, 200, 'upload', { state: 'complete', offset: 3 });
  };
  const refuse = (status: number, code: string) => (reply: ServerResponse): void => {
    answer(reply, status, 'error', { code, message: 'no' });
  };

  it.each([429, 500, 502, 503, 507])('come after %i, no sooner than the server asks', async (status) => {
    const { url, requests } = await scripted((reply) => reply.writeHead(status, { 'retry-after': '7' }).end('busy'), complete);
    const slept: number[] = [];
    const client = scope.client(url, { retry: { sleep: (ms) => { slept.push(ms); return Promise.resolve(); } } });
    const local = await scope.store();
    const { hash } = await local.put(Uint8Array.of(1, 2, 3));
    await client.upload(hash, local);
    expect(requests()).toBe(2);
    expect(slept).toEqual([7000]);
  });

  it.each([
    ['FORBIDDEN', 403, 1],
    ['RUN_UNKNOWN', 404, 1],
    ['ANYTHING_ELSE', 409, 1],
    // What damage on the way can cause too is believed when it is said three times in a row.
    ['UNAUTHORIZED', 401, 3],
    ['MESSAGE_INVALID', 400, 3],
    ['BODY_TOO_LARGE', 413, 3],
  ])('end with the server’s own %s', async (code, status, times) => {
    const { url, requests } = await scripted(refuse(status, code));
    await expect(scope.client(url).join(introduction)).rejects.toMatchObject({ code, message: 'no' });
    expect(requests()).toBe(times);
  });

  it.each([
    ['another digest', { 'content-digest': contentDigest(new Uint8Array(1)) }],
    ['no digest', {}],
  ])('come after a refusal and an answer with %s: they were damaged on the way', async (_what, digest) => {
    const send = (status: number, type: string, body: unknown) => (reply: ServerResponse): void => {
      reply.writeHead(status, { 'zk0-protocol': '2', 'content-type': 'application/msgpack', ...digest }).end(encodeMessage(type, body));
    };
    const { url, requests } = await scripted(
      send(403, 'error', { code: 'FORBIDDEN', message: 'no' }), send(200, 'upload', { state: 'complete', offset: 3 }), complete,
    );
    const codes: string[] = [];
    const client = scope.client(url, { onConnectionState: (state) => { if (state.state === 'retrying') codes.push(state.error.code); } });
    const local = await scope.store();
    await client.upload((await local.put(Uint8Array.of(1, 2, 3))).hash, local);
    expect([requests(), codes]).toEqual([3, ['MESSAGE_DAMAGED', 'MESSAGE_DAMAGED']]);
  });

  it('come after doubtful refusals that are not said in a row', async () => {
    const doubt = refuse(401, 'UNAUTHORIZED');
    const { url, requests } = await scripted(doubt, doubt, refuse(503, 'BUSY'), doubt, doubt, complete);
    const local = await scope.store();
    const { hash } = await local.put(Uint8Array.of(1, 2, 3));
    const said: string[] = [];
    const client = scope.client(url, { onConnectionState: (state) => said.push(state.state === 'retrying' ? state.error.code : state.state) });
    await client.upload(hash, local);
    expect(requests()).toBe(6);
    // A refusal is an answer: what is asked once more because of it is no lost connection.
    expect(said).toEqual(['connected', 'BUSY', 'connected']);
  });

  it.each<[string, (reply: ServerResponse) => void]>([
    ...[301, 302, 400, 401, 403, 404, 407, 408, 413, 418, 429, 451, 500, 502, 503, 504].map((status): [string, (reply: ServerResponse) => void] => [
      `status ${status}`,
      (reply) => { reply.writeHead(status, { 'content-type': 'text/html', location: 'http://127.0.0.1:1/' }).end('<html>no</html>'); },
    ]),
    ['a page with status 200', (reply) => { reply.writeHead(200, { 'content-type': 'text/html' }).end('<html>Please log in</html>'); }],
    ['a long page', (reply) => { reply.writeHead(403, { 'content-type': 'text/html' }).end('x'.repeat(400_000)); }],
    ['nothing with status 204', (reply) => { reply.writeHead(204).end(); }],
    ['JSON of the same shape', (reply) => {
      reply.writeHead(404, { 'content-type': 'application/json' }).end(JSON.stringify({ error: { code: 'FORBIDDEN', message: 'no' } }));
    }],
  ])('come after what somebody else answers: %s', async (_what, foreign) => {
    const blob = Uint8Array.of(1, 2, 3);
    const { url, requests } = await scripted(foreign, foreign, foreign, foreign, complete);
    const said: string[] = [];
    const client = scope.client(url, {
      retry: { firstContactMs: 0 },
      onConnectionState: (state) => said.push(state.state === 'retrying' ? state.error.code : state.state),
    });
    const local = await scope.store();
    await client.upload((await local.put(blob)).hash, local);
    expect(requests()).toBe(5);
    expect(said).toEqual(['FOREIGN_ANSWER', 'FOREIGN_ANSWER', 'FOREIGN_ANSWER', 'FOREIGN_ANSWER', 'connected']);
  });

  it('come after foreign answers to every kind of request, in the middle of a conversation', async () => {
    const { server, service, blobs } = await scope.server();
    const { port } = new URL(server.url);
    const random = new Random(1);
    const portal = createServer((incoming, reply) => {
      // Half of the requests end at the portal.
      if (random.uniform() < 0.5) {
        incoming.resume();
        reply.writeHead([404, 403, 302, 200, 413, 408][random.below(6)]!, { 'content-type': 'text/html' }).end('<html>');
        return;
      }
      const onward = request({ port, method: incoming.method, path: incoming.url, headers: incoming.headers }, (passed) => {
        reply.writeHead(passed.statusCode!, passed.headers);
        passed.pipe(reply);
      });
      incoming.pipe(onward);
    });
    await new Promise<void>((resolve) => portal.listen(0, '127.0.0.1', resolve));
    scope.defer(() => new Promise((resolve) => { portal.closeAllConnections(); portal.close(resolve); }));
    const client = scope.client(`http://127.0.0.1:${(portal.address() as AddressInfo).port}`);
    const local = await scope.store();
    const parameters = await blobs.put(randomBytes(100_000, 1));
    await client.join(introduction);
    service.give('client-1', makeTask({ parameters }));
    expect(await client.poll()).toEqual(makeTask({ parameters }));
    await client.download(parameters.hash, parameters.byteLength, local);
    const update = await local.put(randomBytes(300_000, 2));
    await client.upload(update.hash, local);
    expect(await blobs.has(update.hash)).toBe(true);
    const result = { taskId: 't', runId: 'r', round: 1, attempt: 1, outcome: { ok: false, code: 'X', message: '' } } as const;
    expect(await client.result(result)).toEqual({ status: 'accepted' });
  });

  it('are no use against a server of another protocol version, which says what it reads', async () => {
    const { url, requests } = await scripted((reply) => {
      answer(reply, 400, 'error', { code: 'PROTOCOL_VERSION', message: 'no', hint: 'Run the same release.', supported: { min: 3, max: 4 } });
    });
    await expect(scope.client(url).join(introduction)).rejects.toMatchObject({
      code: 'PROTOCOL_VERSION',
      message: 'this program speaks protocol version 2, and the server reads 3 to 4',
      hint: 'Run the same release.',
    });
    expect(requests()).toBe(1);
  });

  it('wait longer each time, with full jitter, up to the bound', async () => {
    const { url } = await scripted(...Array.from({ length: 8 }, () => (reply: ServerResponse) => reply.writeHead(500).end()), complete);
    const slept: number[] = [];
    const client = scope.client(url, {
      retry: { initialMs: 1000, maxMs: 20_000, random: () => 0.5, sleep: (ms) => { slept.push(ms); return Promise.resolve(); } },
    });
    const local = await scope.store();
    const { hash } = await local.put(Uint8Array.of(1, 2, 3));
    await client.upload(hash, local);
    expect(slept).toEqual([500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000]);
  });

  it('end soon when the server has never answered, and say what to do', async () => {
    const { server } = await scope.server();
    await server.close();
    const client = scope.client(server.url, { retry: { initialMs: 20, firstContactMs: 60 } });
    await expect(client.join(introduction)).rejects.toMatchObject({
      code: 'CONNECTION_REFUSED',
      hint: expect.stringContaining('Start the server') as string,
    });
  });

  it.each([
    ['a name that does not resolve', 'https://no-such-host.invalid', 'CONNECTION_FAILED'],
    ['a port where nobody listens', 'http://127.0.0.1:1', 'CONNECTION_REFUSED'],
  ])('end at first contact with %s, unless the client is to wait', async (_what, url, code) => {
    await expect(scope.client(url, { retry: { firstContactMs: 0 } }).join(introduction)).rejects.toMatchObject({ code });
    const abort = new AbortController();
    let attempts = 0;
    const waiting = scope.client(url, {
      retry: { firstContactMs: Infinity, now: () => Number.MAX_SAFE_INTEGER },
      onConnectionState: () => { if (++attempts === 5) abort.abort(); },
    });
    await expect(waiting.join(introduction, abort.signal)).rejects.toThrow(CancelledError);
    expect(attempts).toBe(5);
  });

  it('never end at first contact with a line that breaks', async () => {
    const { server } = await scope.server();
    const line = await choppingProxy(server.url, Array.from({ length: 6 }, () => ({ down: 5 })));
    scope.defer(() => line.close());
    await scope.client(line.url, { retry: { firstContactMs: 0 } }).join(introduction);
    expect(line.connections).toBe(7);
  });

  it('never end once the server has answered, until it is back', async () => {
    const service = new TestService();
    const blobs = await scope.store();
    const first = await createTransportServer({ host: '127.0.0.1', port: 0, service, blobs });
    const failures: string[] = [];
    const client = scope.client(first.url, {
      retry: { firstContactMs: 0 },
      onConnectionState: (state) => { if (state.state === 'retrying') failures.push(state.error.code); },
    });
    await client.join(introduction);
    const abort = new AbortController();
    const waiting = client.poll(abort.signal);
    await until(() => service.waiting === 1);
    await first.close();
    await until(() => failures.length > 20, 'many failed attempts');
    const second = await createTransportServer({ host: '127.0.0.1', port: first.port, service, blobs });
    scope.defer(() => second.close());
    await until(() => service.waiting === 1, 'a poll at the new server');
    expect(failures).toContain('CONNECTION_REFUSED');
    abort.abort();
    expect(await waiting).toBeNull();
  });
});
