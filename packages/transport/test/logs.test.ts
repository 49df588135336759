import { setTimeout as sleep } from 'node:timers/promises';
import { Zk0Error } from '@zk0/core';
import { afterEach, expect, it } from 'vitest';
import { adminClient, createTransportServer, type LogRequest, type TransportServer } from '../src/index.ts';
import { Scope } from './harness.ts';

const scope = new Scope();
const servers: TransportServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
  await scope.dispose();
});

/** A server with a log of two lines, to which a third comes when somebody follows. */
async function server(options: { readonly operatorToken?: string } = {}): Promise<{ url: string; asked: Omit<LogRequest, 'signal'>[] }> {
  const { blobs, service } = await scope.server();
  const asked: Omit<LogRequest, 'signal'>[] = [];
  const made = await createTransportServer({
    host: '127.0.0.1',
    port: 0,
    blobs,
    service,
    ...options,
    logs: async function* ({ runId, lines, follow, signal }) {
      asked.push({ runId, lines, follow });
      if (runId === 'none') throw new Zk0Error('LOG_NOT_FOUND', 'there is no log of a run none', { hint: 'Look.' });
      yield Buffer.from('one\ntwo\n');
      if (!follow) return;
      await sleep(50);
      yield Buffer.from('three\n');
      while (!signal.aborted) await sleep(20);
    },
  });
  servers.push(made);
  return { url: made.url, asked };
}

async function read(url: string, options: { readonly runId?: string; readonly follow?: boolean; readonly token?: string }): Promise<string> {
  const admin = adminClient({ url, ...(options.token !== undefined && { token: options.token }) });
  const stop = new AbortController();
  let text = '';
  try {
    for await (const piece of admin.log({ lines: 5, follow: options.follow === true, signal: stop.signal, ...(options.runId !== undefined && { runId: options.runId }) })) {
      text += Buffer.from(piece).toString();
      if (text.endsWith('three\n')) stop.abort();
    }
    return text;
  } finally {
    await admin.close();
  }
}

it('gives operators a log as text, and goes on with it until they leave', async () => {
  const { url, asked } = await server();
  expect(await read(url, {})).toBe('one\ntwo\n');
  expect(await read(url, { runId: 'r', follow: true })).toBe('one\ntwo\nthree\n');
  expect(asked).toEqual([
    { runId: undefined, lines: 5, follow: false },
    { runId: 'r', lines: 5, follow: true },
  ]);
});

it('says that there is none, and gives it to operators alone', async () => {
  const { url } = await server();
  await expect(read(url, { runId: 'none' })).rejects.toMatchObject({ code: 'LOG_NOT_FOUND', hint: 'Look.' });
  const closed = await server({ operatorToken: 'secret' });
  await expect(read(closed.url, {})).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
  expect(closed.asked).toEqual([]);
  expect(await read(closed.url, { token: 'secret' })).toBe('one\ntwo\n');
});

it('is not there where a server has no logs', async () => {
  const { server: without } = await scope.server();
  await expect(read(without.url, {})).rejects.toMatchObject({ code: 'NOT_FOUND' });
});
