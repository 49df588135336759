import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { Random } from '@zk0/core';
import { afterEach, describe, expect, it } from 'vitest';
import { chaosProxy, type ChaosOptions, type ChaosProxy } from './chaos-proxy.ts';

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

/** A server that sends back what it gets. */
async function echo(): Promise<string> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  undo.push(() => new Promise((resolve) => server.close(resolve)));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function proxy(options: ChaosOptions): Promise<ChaosProxy> {
  const made = await chaosProxy(await echo(), options);
  undo.push(() => made.close());
  return made;
}

/** Sends bytes through one connection; what came back, and how it ended. */
async function exchange(port: number, sent: Uint8Array): Promise<{ readonly bytes: Buffer; readonly end: 'regular' | 'reset' }> {
  const socket = connect(port, '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  let end: 'regular' | 'reset' = 'regular';
  socket.on('error', () => { end = 'reset'; });
  socket.end(sent);
  await closed(socket);
  return { bytes: Buffer.concat(chunks), end };
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => { resolve(); }));
}

function payload(bytes: number): Uint8Array {
  const random = new Random(7);
  return Uint8Array.from({ length: bytes }, () => random.below(256));
}

function differingBits(a: Uint8Array, b: Uint8Array): number {
  let bits = 0;
  for (let index = 0; index < Math.max(a.length, b.length); index++) {
    for (let rest = (a[index] ?? 0) ^ (b[index] ?? 0); rest > 0; rest >>= 1) bits += rest & 1;
  }
  return bits;
}

describe('a chaos proxy', () => {
  it('passes everything on where no connection is bad', async () => {
    const line = await proxy({ seed: 1, share: 0 });
    const sent = payload(300_000);
    const { bytes, end } = await exchange(line.port, sent);
    expect(end).toBe('regular');
    expect(bytes.equals(sent)).toBe(true);
    expect([line.connections, line.bytesUp, line.bytesDown]).toEqual([1, 300_000, 300_000]);
    expect(line.faults).toEqual({ cut: 0, truncate: 0, delay: 0, corrupt: 0 });
  });

  it('flips single bits, and loses none', async () => {
    const line = await proxy({ seed: 2, share: 1, weights: { corrupt: 1 }, maxBytes: 10_000 });
    const sent = payload(100_000);
    const { bytes } = await exchange(line.port, sent);
    expect(bytes).toHaveLength(100_000);
    expect(line.faults.corrupt).toBeGreaterThan(5);
    expect(differingBits(bytes, sent)).toBe(line.faults.corrupt);
  });

  it('holds bytes back, and loses none', async () => {
    const line = await proxy({ seed: 3, share: 1, weights: { delay: 1 }, maxBytes: 50_000, maxDelayMs: 5 });
    const sent = payload(100_000);
    expect((await exchange(line.port, sent)).bytes.equals(sent)).toBe(true);
    expect(line.faults.delay).toBeGreaterThan(0);
  });

  it('cuts in the middle, which looks like a reset', async () => {
    const line = await proxy({ seed: 4, share: 1, weights: { cut: 1 }, maxBytes: 50_000 });
    const sent = payload(1_000_000);
    const { bytes, end } = await exchange(line.port, sent);
    expect(end).toBe('reset');
    expect(bytes.length).toBeLessThan(50_000);
    expect(bytes.equals(sent.subarray(0, bytes.length))).toBe(true);
    expect(line.faults.cut).toBeGreaterThan(0);
  });

  it('truncates in the middle, which looks like a regular end', async () => {
    let regular = 0;
    for (let seed = 0; seed < 10; seed++) {
      const line = await proxy({ seed, share: 1, weights: { truncate: 1 }, maxBytes: 5000 });
      const { bytes, end } = await exchange(line.port, payload(20_000));
      expect(bytes.length).toBeLessThan(20_000);
      if (end === 'regular') regular++;
    }
    expect(regular).toBeGreaterThan(0);
  });

  it('does the same for the same seed, and something else for another', async () => {
    const sent = payload(60_000);
    const run = async (seed: number): Promise<string[]> => {
      const line = await proxy({ seed, weights: { corrupt: 1 }, maxBytes: 60_000 });
      const seen: string[] = [];
      for (let count = 0; count < 6; count++) seen.push((await exchange(line.port, sent)).bytes.toString('base64'));
      return seen;
    };
    const first = await run(5);
    expect(await run(5)).toEqual(first);
    expect(await run(6)).not.toEqual(first);
    const untouched = Buffer.from(sent).toString('base64');
    expect(first.filter((bytes) => bytes === untouched).length).toBeGreaterThan(0);
    expect(first.filter((bytes) => bytes !== untouched).length).toBeGreaterThan(0);
  });

  it('lets everything pass while it is calm, and cuts what is open when it is told', async () => {
    const line = await proxy({ seed: 4, share: 1, weights: { cut: 1 }, maxBytes: 100 });
    line.calm = true;
    const sent = payload(100_000);
    expect((await exchange(line.port, sent)).bytes.equals(sent)).toBe(true);
    const open = connect(line.port, '127.0.0.1').on('error', () => undefined);
    open.write('x');
    await once(open, 'data');
    line.cutAll();
    await closed(open);
  });

  it('sends new connections to a server that moved', async () => {
    const line = await proxy({ seed: 1, share: 0 });
    line.target = await echo();
    expect((await exchange(line.port, payload(10))).bytes).toHaveLength(10);
  });
});
