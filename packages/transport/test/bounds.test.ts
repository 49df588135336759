import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { CancelledError, type HeartbeatMessage } from '@zk0/core';
import { openBlobStore } from '@zk0/storage';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { randomBytes, Scope, sha256, until } from './harness.ts';
import { choppingProxy } from './chopping-proxy.ts';

const scope = new Scope();
afterEach(() => scope.dispose());

const introduction = { name: '', agent: '', profile: {} };

/** One attempt of an upload: the code of what the server said, or `undefined` when it took it. */
async function attempt(url: string, clientId: string, bytes: Uint8Array): Promise<string | undefined> {
  const local = await scope.store();
  const { hash } = await local.put(bytes);
  const abort = new AbortController();
  let code: string | undefined;
  const client = scope.client(url, {
    clientId,
    onConnectionState: (state) => {
      if (state.state !== 'retrying') return;
      code = state.error.code;
      abort.abort();
    },
  });
  await client.upload(hash, local, { signal: abort.signal }).catch((error: unknown) => {
    if (!(error instanceof CancelledError)) throw error;
  });
  return code;
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => { resolve(); }));
}

/** Sends the head of an upload and its first bytes, and then nothing. */
function halfUpload(port: number, clientId: string, bytes: Uint8Array, name = sha256(bytes)): Socket {
  const socket = connect(port, '127.0.0.1').resume().on('error', () => undefined);
  scope.defer(() => Promise.resolve(socket.destroy()));
  socket.write(
    `PATCH /uploads/${name} HTTP/1.1\r\nhost: 127.0.0.1\r\nzk0-client: ${clientId}\r\nzk0-instance: i\r\n` +
      `upload-length: ${bytes.length}\r\nupload-offset: 0\r\ncontent-length: ${bytes.length}\r\n\r\n`,
  );
  socket.write(bytes.subarray(0, 10));
  return socket;
}

describe('one client', () => {
  it('that sends slowly takes no place of the others, and its own are free again when it goes', async () => {
    const { server, blobs } = await scope.server({ limits: { maxUploads: 3, maxClientUploads: 2 } });
    const slow: Socket[] = [];
    for (let seed = 0; seed < 6; seed++) slow.push(halfUpload(server.port, 'slow', randomBytes(1000, seed)));
    await until(() => slow.filter((socket) => socket.destroyed).length >= 4, 'the end of four of six uploads');
    expect(await attempt(server.url, 'quick', randomBytes(1000, 10))).toBeUndefined();
    expect(await attempt(server.url, 'slow', randomBytes(1000, 11))).toBe('BUSY');
    for (const socket of slow) socket.destroy();
    await until(() => slow.every((socket) => socket.destroyed));
    const local = await scope.store();
    const { hash } = await local.put(randomBytes(1000, 12));
    await scope.client(server.url, { clientId: 'slow' }).upload(hash, local);
    expect(await blobs.has(hash)).toBe(true);
  });

  it('counts with all others towards the number that the server receives at once', async () => {
    const { server, blobs } = await scope.server({ limits: { maxUploads: 2 } });
    const append = blobs.append.bind(blobs);
    let receiving = 0;
    blobs.append = (...args) => {
      receiving++;
      return append(...args);
    };
    const slow = [halfUpload(server.port, 'a', randomBytes(1000, 1)), halfUpload(server.port, 'b', randomBytes(1000, 2))];
    await until(() => receiving === 2, 'two uploads on their way');
    expect(await attempt(server.url, 'c', randomBytes(1000, 3))).toBe('BUSY');
    for (const socket of slow) socket.destroy();
    const client = scope.client(server.url, { clientId: 'c' });
    const local = await scope.store();
    for (let seed = 4; seed < 8; seed++) await client.upload((await local.put(randomBytes(1000, seed))).hash, local);
  });

  it('announces no more than it may, in number and in bytes, and others are free to', async () => {
    const { server } = await scope.server({ limits: { maxClientAnnouncements: 2, maxClientBytes: 5000 } });
    const announce = async (clientId: string, seed: number, byteLength: number): Promise<number> => {
      const reply = await fetch(`${server.url}/uploads/${sha256(randomBytes(8, seed))}`, {
        method: 'POST',
        headers: { 'zk0-client': clientId, 'zk0-instance': 'i', 'upload-length': String(byteLength) },
      });
      return reply.status;
    };
    expect(await announce('a', 1, 5001)).toBe(503);
    expect([await announce('a', 1, 100), await announce('a', 2, 100), await announce('a', 3, 100)]).toEqual([200, 200, 503]);
    expect([await announce('a', 1, 100), await announce('b', 3, 100)]).toEqual([200, 200]);
    // What is complete does not count any more.
    for (let seed = 4; seed < 8; seed++) expect(await attempt(server.url, 'c', randomBytes(1000, seed))).toBeUndefined();
  });

  it('is counted too when it sends without asking first, and not for what the store refuses', async () => {
    const { server } = await scope.server({ blobs: await scope.store({ maxBlobBytes: 1000 }), limits: { maxClientAnnouncements: 2 } });
    const send = async (clientId: string, seed: number, byteLength: number): Promise<number> => {
      const reply = await fetch(`${server.url}/uploads/${sha256(randomBytes(8, seed))}`, {
        method: 'PATCH',
        headers: { 'zk0-client': clientId, 'zk0-instance': 'i', 'upload-length': String(byteLength), 'upload-offset': '0' },
        body: randomBytes(10),
      });
      return reply.status;
    };
    expect([await send('a', 1, 100), await send('a', 2, 100), await send('a', 3, 100)]).toEqual([200, 200, 503]);
    const ask = async (seed: number, byteLength: number): Promise<number> => {
      const headers = { 'zk0-client': 'b', 'zk0-instance': 'i', 'upload-length': String(byteLength) };
      return (await fetch(`${server.url}/uploads/${sha256(randomBytes(8, seed))}`, { method: 'POST', headers })).status;
    };
    expect([await ask(4, 1001), await ask(5, 1001), await ask(6, 100), await ask(7, 100)]).toEqual([413, 413, 200, 200]);
  });

  it('that sends a byte now and then is cut off', async () => {
    const { server } = await scope.server({ limits: { noProgressMs: 200, minBytesPerSecond: 1000 } });
    const socket = halfUpload(server.port, 'a', randomBytes(100_000));
    const drip = setInterval(() => socket.write('x'), 20);
    // At this pace the upload would take half an hour.
    await closed(socket);
    clearInterval(drip);
  });

  it('that sends steadily is not, however long it takes', async () => {
    const { server, blobs } = await scope.server({ limits: { noProgressMs: 2000, minBytesPerSecond: 10 } });
    const bytes = randomBytes(4010);
    const socket = halfUpload(server.port, 'a', bytes);
    for (let offset = 10; offset < bytes.length; offset += 100) {
      await new Promise((resolve) => setTimeout(resolve, 60));
      socket.write(bytes.subarray(offset, offset + 100));
    }
    await Promise.race([once(socket, 'data'), closed(socket)]);
    expect(await blobs.has(sha256(bytes))).toBe(true);
  });

  it('that reads a byte now and then is cut off', async () => {
    const { server, blobs } = await scope.server({ limits: { noProgressMs: 300, minBytesPerSecond: 1_000_000 } });
    const { hash } = await blobs.put(randomBytes(64 << 20));
    const socket = connect(server.port, '127.0.0.1').on('error', () => undefined);
    scope.defer(() => Promise.resolve(socket.destroy()));
    socket.write(`GET /blobs/${hash} HTTP/1.1\r\nhost: 127.0.0.1\r\nzk0-client: a\r\nzk0-instance: i\r\n\r\n`);
    socket.pause();
    const sip = setInterval(() => void socket.read(1000), 50);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    clearInterval(sip);
    // The connection is cut on the server's side: what is left in buffers on the way is all that comes.
    let rest = 0;
    socket.on('data', (chunk: Buffer) => { rest += chunk.length; }).resume();
    await closed(socket);
    expect(rest).toBeLessThan(32 << 20);
  });
});

describe('a download', () => {
  it('that is refused for good leaves nothing on the disk', async () => {
    const hash = sha256(randomBytes(300_000, 1));
    const liar = createServer((_request, reply) => {
      reply.writeHead(206, { 'zk0-protocol': '2', 'content-range': 'bytes 0-299999/300000', 'content-length': '300000' });
      reply.end(randomBytes(300_000, 2));
    });
    await new Promise<void>((resolve) => liar.listen(0, '127.0.0.1', resolve));
    scope.defer(() => new Promise((resolve) => { liar.closeAllConnections(); liar.close(resolve); }));
    const directory = await scope.directory();
    const local = await openBlobStore(directory);
    const client = scope.client(`http://127.0.0.1:${(liar.address() as AddressInfo).port}`);
    await expect(client.download(hash, 300_000, local)).rejects.toMatchObject({ code: 'HASH_MISMATCH' });
    expect(await readdir(join(directory, 'uploads'))).toEqual([]);
    // Nor does one that the server stops allowing in the middle.
    const { server, service, blobs } = await scope.server();
    const blob = await blobs.put(randomBytes(4 << 20));
    const line = await choppingProxy(server.url, [{ down: 1_000_000 }]);
    scope.defer(() => line.close());
    const refused = scope.client(line.url, { onConnectionState: () => service.forbidden.add(blob.hash) });
    await expect(refused.download(blob.hash, blob.byteLength, local)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(await readdir(join(directory, 'uploads'))).toEqual([]);
  });

  it('leaves no file open when its connection closes, also of requests that wait for their turn', async () => {
    const { server, blobs } = await scope.server();
    const { hash } = await blobs.put(randomBytes(8 << 20));
    const opened = vi.spyOn(blobs, 'openRead');
    const socket = connect(server.port, '127.0.0.1').on('error', () => undefined);
    socket.pause();
    socket.write(`GET /blobs/${hash} HTTP/1.1\r\nhost: 127.0.0.1\r\nzk0-client: a\r\nzk0-instance: i\r\n\r\n`.repeat(3));
    await until(() => opened.mock.results.length === 3);
    const files = await Promise.all(opened.mock.results.map(({ value }) => value as ReturnType<typeof blobs.openRead>));
    const closings = files.map((file) => vi.spyOn(file, 'close'));
    expect(closings.map(({ mock }) => mock.calls.length)).toEqual([0, 0, 0]);
    socket.destroy();
    await until(() => closings.every(({ mock }) => mock.calls.length > 0));
  });

  it('of more than is expected is refused before anything is asked for', async () => {
    const local = await scope.store();
    const client = scope.client('http://127.0.0.1:1');
    await expect(client.download('0'.repeat(64), 1001, local, { maxBytes: 1000 })).rejects.toMatchObject({ code: 'BODY_TOO_LARGE' });
    expect(client.bytesUp).toBe(0);
    const small = await scope.store({ maxBlobBytes: 1000 });
    await expect(client.download('0'.repeat(64), 1001, small)).rejects.toMatchObject({ code: 'BLOB_TOO_LARGE' });
  });
});

describe('heartbeats', () => {
  const beat = (step: number): HeartbeatMessage => ({ progress: { taskId: 't', phase: 'working', step, totalSteps: 9 } });

  it('go on while a client downloads and uploads, and not while its poll is open', async () => {
    const { server, service, blobs } = await scope.server();
    const line = await choppingProxy(server.url);
    scope.defer(() => line.close());
    const client = scope.client(line.url, { noProgressMs: 60_000 });
    await client.join(introduction);
    let step = 0;
    const heartbeat = client.startHeartbeat({ intervalMs: 20, message: () => beat(step++) });
    await until(() => service.heartbeats.length >= 2);
    expect(service.heartbeats[1]).toEqual({ clientId: 'client-1', ...beat(1) });

    const during = async (work: (onProgress: () => void) => Promise<void>): Promise<number> => {
      const before = service.heartbeats.length;
      let waited = false;
      await work(() => { waited = true; });
      expect(waited).toBe(true);
      return service.heartbeats.length - before;
    };
    const slowly = async function* (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      for await (const chunk of chunks) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        yield chunk;
      }
    };
    const { hash } = await blobs.put(randomBytes(4 << 20, 1));
    const local = await scope.store();
    const append = local.append.bind(local);
    local.append = (blob, offset, chunks, options) => append(blob, offset, slowly(chunks), options);
    expect(await during((onProgress) => client.download(hash, 4 << 20, local, { onProgress }))).toBeGreaterThan(2);
    const far = blobs.append.bind(blobs);
    blobs.append = (blob, offset, chunks, options) => far(blob, offset, slowly(chunks), options);
    const update = await local.put(randomBytes(4 << 20, 2));
    expect(await during((onProgress) => client.upload(update.hash, local, { onProgress }))).toBeGreaterThan(2);

    const abort = new AbortController();
    const polling = client.poll(abort.signal);
    await until(() => service.waiting === 1);
    // One that was on its way may arrive late on a busy machine; ten intervals without one are silence.
    let quiet: number;
    do {
      quiet = service.heartbeats.length;
      await new Promise((resolve) => setTimeout(resolve, 200));
    } while (service.heartbeats.length > quiet);
    abort.abort();
    await polling;
    await until(() => service.heartbeats.length > quiet);
    heartbeat.stop();
  });

  it('tell their owner that a task is not wanted, and end when the client is closed', async () => {
    const { server, service } = await scope.server();
    const client = scope.client(server.url);
    service.wanted = false;
    const unwanted = new Promise<string>((resolve) => {
      client.startHeartbeat({ intervalMs: 10, message: () => beat(1), onUnwanted: resolve });
    });
    expect(await unwanted).toBe('t');
    await client.close();
    const count = service.heartbeats.length;
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(service.heartbeats.length).toBe(count);
  });
});
