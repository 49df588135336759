import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { HeartbeatMessage, JsonObject } from '@zk0/core';
import { afterEach, describe, expect, it } from 'vitest';
import {
  adminClient,
  enroll,
  generateNodeKey,
  openNodeRegistry,
  type ConnectOptions,
  type TransportLimits,
  type TransportServerOptions,
} from '../../src/index.ts';
import { makeTask, randomBytes, Scope, until } from '../harness.ts';
import { forwardProxy, type ForwardProxy } from './forward-proxy.ts';
import { configuration, isInstalled, startCaddy, startNginx, type RunningProxy } from './real-proxies.ts';

const scope = new Scope();
afterEach(() => scope.dispose());

const ca = readFileSync(new URL('../fixtures/ca.crt', import.meta.url), 'utf8');
const pem = (name: string): string => readFileSync(new URL(`../fixtures/${name}`, import.meta.url), 'utf8');
const introduction = { name: '', agent: '', profile: {} };
/**
 * When the task is handed out, in ms, and the size of the blobs: `ZK0_PROXY_TASK_AFTER_MS=12000 ZK0_PROXY_BLOB_BYTES=50000000` make this
 * file a check in real time.
 */
const TASK_AFTER_MS = Number(process.env['ZK0_PROXY_TASK_AFTER_MS'] ?? 1500);
const BLOB_BYTES = Number(process.env['ZK0_PROXY_BLOB_BYTES'] ?? 8_000_000);
/** Everything that waits does so for a shorter time than in earnest, in the same proportion. */
const LIMITS: TransportLimits = { pollWaitMs: 2 * TASK_AFTER_MS, answerWithinMs: TASK_AFTER_MS / 2 };

/**
 * A round through whatever lies between client and server: join, a poll that waits, blobs both ways with heartbeats beside them, a
 * result that is checked for long, and the operator's event stream.
 */
async function round(
  between: (serverUrl: string) => Promise<{ readonly url: string } & Partial<ConnectOptions>>,
  serverOptions: Partial<TransportServerOptions> = {},
): Promise<void> {
  // As in earnest: nodes sign, the operator has a token, and both signatures and digests must survive the way.
  const registry = openNodeRegistry(join(await scope.directory(), 'nodes.sqlite'));
  scope.defer(() => registry.close());
  const { server, service, blobs } = await scope.server({ limits: LIMITS, registry, operatorToken: 'operator', ...serverOptions });
  const { url, ...options } = await between(server.url);
  const key = generateNodeKey();
  const { token } = await registry.createToken();
  const { serverId } = await enroll({ ...options, url, token, key, clientId: 'client-1', instance: 'instance-1', dataset: '' });
  const client = scope.client(url, { ...options, enrolment: { key, serverId } });
  const local = await scope.store();
  const parameters = await blobs.put(randomBytes(BLOB_BYTES, 1));
  const task = makeTask({ parameters });
  let step = 0;
  client.startHeartbeat({
    intervalMs: 50,
    message: (): HeartbeatMessage => ({ progress: { taskId: task.taskId, phase: 'working', step: step++, totalSteps: 1 } }),
  });

  await client.join({ name: 'Kitchen', agent: 'test/1', profile: {} });
  const admin = adminClient({ url, token: 'operator', ...options });
  scope.defer(() => admin.close());
  const events = admin.follow();
  const first = events.next();
  service.emit({ text: 'first' });
  expect((await first).value).toEqual({ text: 'first' });

  setTimeout(() => { service.give('client-1', task); }, TASK_AFTER_MS);
  expect(await client.poll()).toEqual(task);
  // On the reply to this very poll, not on a later one.
  expect(service.polls).toBe(1);

  const count = service.heartbeats.length;
  await client.download(parameters.hash, parameters.byteLength, local);
  const update = await local.put(randomBytes(BLOB_BYTES, 2));
  await client.upload(update.hash, local);
  expect(await blobs.size(update.hash)).toBe(BLOB_BYTES);
  expect(service.heartbeats.length).toBeGreaterThan(count);
  // Nothing was sent twice, but for the pieces by which the client finds out how large one may be.
  expect(client.bytesUp).toBeLessThan(BLOB_BYTES + (8 << 20));

  const result = service.result.bind(service);
  service.result = async (principal, message) => {
    await new Promise((resolve) => setTimeout(resolve, TASK_AFTER_MS));
    return result(principal, message);
  };
  const { taskId, runId, attempt } = task;
  const outcome = { ok: true, update, numExamples: 64, metrics: {} } as const;
  expect(await client.result({ taskId, runId, round: 1, attempt, outcome })).toEqual({ status: 'accepted' });
  expect(service.results).toHaveLength(1);

  // The stream was open all the while, and passes events on as they happen.
  const second: Promise<IteratorResult<JsonObject, void>> = events.next();
  service.emit({ text: 'second' });
  const late = new Promise((resolve) => setTimeout(() => { resolve('late'); }, 10_000).unref());
  expect(await Promise.race([second, late])).toEqual({ done: false, value: { text: 'second' } });
}

const behind = (start: (target: string) => Promise<RunningProxy>) => async (target: string): Promise<{ url: string } & Partial<ConnectOptions>> => {
  const proxy = await start(target);
  scope.defer(() => proxy.close());
  return { url: proxy.url, tls: { ca } };
};

describe.skipIf(!isInstalled('nginx'))('a federation behind nginx (skipped where nginx is not installed)', () => {
  it('works with the configuration of the documentation, over TLS', async () => {
    const site = await configuration('nginx.conf');
    await round(behind((target) => startNginx(site, target, { tls: true })));
  });

  it('works with kept connections over plain HTTP', async () => {
    const site = await configuration('nginx.conf');
    await round(behind((target) => startNginx(site, target, { tls: false })));
  });

  it('works with kept connections and everything buffered', async () => {
    const site = (await configuration('nginx.conf')).replace('proxy_request_buffering off;', '').replace('proxy_buffering off;', '');
    await round(behind((target) => startNginx(site, target, { tls: true })));
  });

  it('works with what nginx does by itself: HTTP/1.0 to the server, buffers, bodies up to 1 MiB', async () => {
    const site = await configuration('nginx-defaults.conf');
    await round(behind((target) => startNginx(site, target, { tls: true })));
  });

  it('is waited for while nginx runs and the server does not yet', async () => {
    const site = await configuration('nginx.conf');
    const { server } = await scope.server();
    await server.close();
    const proxy = await startNginx(site, server.url, { tls: true });
    scope.defer(() => proxy.close());
    const states: string[] = [];
    const client = scope.client(proxy.url, {
      tls: { ca },
      retry: { firstContactMs: 0 },
      onConnectionState: (state) => states.push(state.state === 'retrying' ? state.error.code : state.state),
    });
    const joining = client.join(introduction);
    await until(() => states.length >= 3);
    const { service } = await scope.server({ port: server.port });
    await joining;
    expect(service.joined.size).toBe(1);
    expect(states.at(0)).toBe('FOREIGN_ANSWER');
    expect(states.at(-1)).toBe('connected');
  });
});

describe.skipIf(!isInstalled('caddy'))('a federation behind Caddy (skipped where Caddy is not installed)', () => {
  it('works with the configuration of the documentation, over TLS', async () => {
    const site = await configuration('Caddyfile');
    await round(behind((target) => startCaddy(site, target, { tls: true })));
  });

  it('works over plain HTTP', async () => {
    const site = await configuration('Caddyfile');
    await round(behind((target) => startCaddy(site, target, { tls: false })));
  });

  it('works with bodies buffered', async () => {
    const site = (await configuration('Caddyfile')).replace(
      'reverse_proxy 127.0.0.1:8080',
      'request_body {\n\t\tmax_size 8MB\n\t}\n\treverse_proxy 127.0.0.1:8080 {\n\t\tflush_interval 0\n\t}',
    );
    await round(behind((target) => startCaddy(site, target, { tls: true })));
  });
});

describe('a client that is configured to use a proxy', () => {
  it('reaches the server through a tunnel that HTTPS_PROXY names, with credentials', async () => {
    let proxy: ForwardProxy | undefined;
    const tls = { key: pem('named-server.key'), cert: pem('named-server.crt') };
    await round(
      async (target) => {
        proxy = await forward({ 'federation.example.org:443': target }, 'robot:p%40ss');
        return { url: 'https://federation.example.org', tls: { ca: pem('named-ca.crt') }, proxyEnvironment: { HTTPS_PROXY: proxy.url } };
      },
      { tls, host: '0.0.0.0' },
    );
    expect(proxy?.tunnels).toBeGreaterThan(0);
    expect(proxy?.forwarded).toBe(0);
  });

  it('reaches a server of plain HTTP through the proxy that http_proxy names', async () => {
    let proxy: ForwardProxy | undefined;
    await round(
      async (target) => {
        proxy = await forward({ 'federation.example.org': target });
        return { url: 'http://federation.example.org', allowInsecure: true, proxyEnvironment: { http_proxy: proxy.url, HTTPS_PROXY: 'http://127.0.0.1:1' } };
      },
      { host: '0.0.0.0', allowInsecure: true },
    );
    expect(proxy?.forwarded).toBeGreaterThan(0);
  });

  it('goes past it to what NO_PROXY names, and to its own machine', async () => {
    const { server, service } = await scope.server();
    const dead = 'http://127.0.0.1:1';
    await scope.client(server.url, { proxyEnvironment: { HTTP_PROXY: dead, HTTPS_PROXY: dead } }).join(introduction);
    expect(service.joined.size).toBe(1);
    const failure = async (environment: Record<string, string>): Promise<string> => {
      const client = scope.client('https://federation.invalid', { proxyEnvironment: environment, retry: { firstContactMs: 0 } });
      return client.join(introduction).then(() => 'joined', (error: unknown) => (error as { message: string }).message);
    };
    // Resolved here, not by the proxy.
    expect(await failure({ HTTPS_PROXY: dead, NO_PROXY: 'other.example, .invalid' })).toContain('ENOTFOUND federation.invalid');
    expect(await failure({ HTTPS_PROXY: dead, NO_PROXY: 'other.example' })).not.toContain('ENOTFOUND');
  });

  it('says what is wrong: credentials that the proxy does not take, an address that is none', async () => {
    const proxy = await forward({ 'federation.example.org:443': 'http://127.0.0.1:1' }, 'robot:secret');
    const refused = new Promise<string>((resolve) => {
      const client = scope.client('https://federation.example.org', {
        proxyEnvironment: { HTTPS_PROXY: proxy.url.replace('secret', 'guess') },
        onConnectionState: (state) => { if (state.state === 'retrying') resolve(`${state.error.code} ${state.error.message}`); },
      });
      client.join(introduction).catch(() => undefined);
    });
    expect(await refused).toMatch(/^CONNECTION_FAILED .*407/);
    expect(() => scope.client('https://federation.example.org', { proxyEnvironment: { HTTPS_PROXY: 'proxy:secret' } })).toThrow(
      expect.objectContaining({ code: 'CONNECTION_FAILED', message: expect.not.stringContaining('secret') as string }) as Error,
    );
  });
});

async function forward(names: Readonly<Record<string, string>>, credentials?: string): Promise<ForwardProxy> {
  const proxy = await forwardProxy(names, credentials);
  scope.defer(() => proxy.close());
  return proxy;
}
