import { connect, createServer, type AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { makeTask, Scope } from './harness.ts';

const scope = new Scope();
afterEach(() => scope.dispose());

type Alter = (bytes: Buffer) => Buffer;

/** Passes bytes on; the first connections' are altered on their way up or down. */
async function damaging(target: string, direction: 'up' | 'down', alter: Alter, connections: number): Promise<{ url: string; damaged: () => number }> {
  const { hostname, port } = new URL(target);
  let damaged = 0;
  let count = 0;
  const server = createServer((inner) => {
    const outer = connect(Number(port), hostname);
    const bad = count++ < connections;
    const pass = (bytes: Buffer, way: 'up' | 'down'): Buffer => {
      if (!bad || way !== direction) return bytes;
      const altered = alter(bytes);
      if (!altered.equals(bytes)) damaged++;
      return altered;
    };
    inner.on('data', (bytes: Buffer) => { outer.write(pass(bytes, 'up')); }).on('close', () => outer.destroy()).on('error', () => undefined);
    outer.on('data', (bytes: Buffer) => { inner.write(pass(bytes, 'down')); }).on('close', () => inner.destroy()).on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  scope.defer(() => new Promise((resolve) => server.close(resolve)));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, damaged: () => damaged };
}

/** Another letter for one in the text that a message holds. */
const swap = (from: string, to: string): Alter => (bytes) => {
  const at = bytes.indexOf(from);
  if (at < 0) return bytes;
  const copy = Buffer.from(bytes);
  copy.write(to, at);
  return copy;
};

describe('a bit that flips on the way', () => {
  it('up is noticed, and the message is sent again', async () => {
    const { server, service } = await scope.server();
    let left = 2;
    const line = await damaging(server.url, 'up', (bytes) => (left-- > 0 ? swap('Kitchen', 'Kitchan')(bytes) : bytes), 9);
    const codes: string[] = [];
    const client = scope.client(line.url, { onConnectionState: (state) => { if (state.state === 'retrying') codes.push(state.error.code); } });
    await client.join({ name: 'Kitchen', agent: '', profile: {} });
    expect(line.damaged()).toBeGreaterThan(0);
    expect(new Set(codes)).toEqual(new Set(['MESSAGE_DAMAGED']));
    expect(service.joined.get('client-1')?.name).toBe('Kitchen');
  });

  it('down is noticed, and the message is asked for again', async () => {
    const { server, service } = await scope.server();
    service.give('client-1', makeTask({ taskId: 'the-task' }));
    let left = 2;
    const line = await damaging(server.url, 'down', (bytes) => (bytes.includes('the-task') && left-- > 0 ? swap('the-task', 'the-tusk')(bytes) : bytes), 9);
    const codes: string[] = [];
    const client = scope.client(line.url, { onConnectionState: (state) => { if (state.state === 'retrying') codes.push(state.error.code); } });
    await client.join({ name: '', agent: '', profile: {} });
    expect((await client.poll())?.taskId).toBe('the-task');
    expect(codes).toEqual(['MESSAGE_DAMAGED', 'MESSAGE_DAMAGED']);
    expect(line.damaged()).toBe(2);
  });
});
