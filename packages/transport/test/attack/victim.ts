/** The server under attack, a process of its own: it counts what its service is asked to do, and by whom. */
import type { ClientPrincipal, FederationService, OperatorPage } from '@zk0/core';
import { openBlobStore } from '@zk0/storage';
import { createTransportServer, openNodeRegistry } from '../../src/index.ts';

const [registryPath, blobPath] = process.argv.slice(2) as [string, string];
const calls = new Map<string, number>();
const count = (who: string): void => void calls.set(who, (calls.get(who) ?? 0) + 1);
const by = <T>(client: ClientPrincipal, answer: T): Promise<T> => {
  count(client.clientId);
  return Promise.resolve(answer);
};
const byOperator = <T>(answer: T): Promise<T> => {
  count('operator');
  return Promise.resolve(answer);
};
const service: FederationService = {
  join: (client) => by(client, { accepted: true }),
  poll: (client) => by(client, null),
  heartbeat: (client) => by(client, { continue: true }),
  result: (client) => by(client, { status: 'accepted' }),
  leave: (client) => by(client, undefined),
  report: (client) => by(client, undefined),
  authorizeUpload: (client) => by(client, undefined),
  authorizeDownload: (client) => by(client, undefined),
  status: () => byOperator({}),
  submitRun: () => byOperator({ runId: 'r' }),
  stopRun: () => byOperator({ runId: 'r' }),
  changeRun: () => byOperator({ runId: 'r' }),
  async *events() {
    count('operator');
    yield await Promise.resolve({});
  },
};

const page: OperatorPage = {
  files: () => Promise.resolve(new Map()),
  async *stream() {
    count('operator');
    yield await Promise.resolve({ id: '1', event: 'snapshot', data: '{}' });
  },
  read: () => byOperator({}),
  act: () => byOperator({}),
};

const registry = openNodeRegistry(registryPath);
const blobs = await openBlobStore(blobPath);
await blobs.put(new TextEncoder().encode('parameters'));
const defects: string[] = [];
const log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: (text: string, fields?: Readonly<Record<string, unknown>>) => void defects.push(`${text}: ${String(fields?.['error'])}`),
};
const limits = { noProgressMs: 2000, pollWaitMs: 20 };
const server = await createTransportServer({ host: '127.0.0.1', port: 0, blobs, service, page, registry, operatorToken: 'operator', limits, log });
process.on('message', () => {
  const { rss, heapUsed } = process.memoryUsage();
  process.send?.({ calls: Object.fromEntries(calls), defects, rss, heapUsed });
});
process.once('disconnect', () => void server.close().then(() => registry.close()));
process.send?.(server.url);
