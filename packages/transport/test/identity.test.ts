import { join } from 'node:path';
import { Packr } from 'msgpackr';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  enroll,
  generateNodeKey,
  openNodeRegistry,
  type NodeKey,
  type NodeRegistry,
  type TransportClient,
  type TransportServer,
  type TransportServerOptions,
} from '../src/index.ts';
import { decodeError } from '../src/protocol/codec.ts';
import { contentDigest } from '../src/protocol/digest.ts';
import { requestSigner } from '../src/signature/sign.ts';
import { ask, makeTask, randomBytes, Scope, until, type Answer, type TestService } from './harness.ts';
import type { BlobStore } from '@zk0/storage';

const scope = new Scope();
afterEach(async () => {
  vi.useRealTimers();
  await scope.dispose();
});

const introduction = { name: 'Kitchen', agent: 'test/1', profile: {} };
const pack = (value: unknown): Buffer => new Packr({ useRecords: false }).pack(value);

interface Guarded {
  readonly server: TransportServer;
  readonly service: TestService;
  readonly blobs: BlobStore;
  readonly registry: NodeRegistry;
}

async function guarded(options: Partial<TransportServerOptions> = {}): Promise<Guarded> {
  const registry = openNodeRegistry(join(await scope.directory(), 'nodes.sqlite'));
  scope.defer(() => registry.close());
  return { ...(await scope.server({ registry, operatorToken: 'operator', ...options })), registry };
}

async function enrolled({ server, registry }: Guarded, clientId = 'client-1', key = generateNodeKey()): Promise<{ key: NodeKey; serverId: string }> {
  const { token } = await registry.createToken();
  const { serverId } = await enroll({ url: server.url, token, key, clientId, instance: 'instance-1', dataset: 'so101/pick' });
  return { key, serverId };
}

const client = ({ server }: Guarded, enrolment?: { key: NodeKey; serverId: string }, clientId = 'client-1'): TransportClient =>
  scope.client(server.url, { clientId, ...(enrolment === undefined ? {} : { enrolment }) });

describe('enrolment', () => {
  it('makes a node a client, which then takes part in a round', async () => {
    const federation = await guarded();
    const { server, service, blobs, registry } = federation;
    const { token, info } = await registry.createToken();
    const key = generateNodeKey();
    const request = { url: server.url, token, key, clientId: 'kitchen', instance: 'i-1', dataset: 'so101/pick' };
    const answer = { serverId: registry.serverId, clientId: 'kitchen', fingerprint: key.fingerprint, state: 'approved' };
    expect(await enroll(request)).toEqual(answer);
    expect(await enroll(request)).toEqual(answer);
    expect(await registry.listNodes()).toMatchObject([{ clientId: 'kitchen', dataset: 'so101/pick', tokenId: info.id }]);

    const node = client(federation, { key, serverId: registry.serverId }, 'kitchen');
    await node.join(introduction);
    const parameters = await blobs.put(randomBytes(300_000, 1));
    service.give('kitchen', makeTask({ parameters }));
    expect(await node.poll()).toEqual(makeTask({ parameters }));
    const local = await scope.store();
    await node.download(parameters.hash, parameters.byteLength, local);
    const update = await local.put(randomBytes(300_000, 2));
    await node.upload(update.hash, local);
    const outcome = { ok: true, update, numExamples: 1, metrics: {} } as const;
    expect(await node.result({ taskId: 't', runId: 'r', round: 1, attempt: 1, outcome })).toEqual({ status: 'accepted' });
    expect((await registry.node(key.fingerprint))?.lastSeenAt).toBeInstanceOf(Date);
  });

  it('needs a token', async () => {
    const { server, registry } = await guarded();
    const { token } = await registry.createToken();
    const request = { url: server.url, key: generateNodeKey(), clientId: 'kitchen', instance: 'i-1', dataset: '' };
    await expect(enroll({ ...request, token: `${token.slice(0, -1)}x` })).rejects.toMatchObject({ code: 'TOKEN_REFUSED' });
    await enroll({ ...request, token });
    await expect(enroll({ ...request, key: generateNodeKey(), clientId: 'garage', token })).rejects.toMatchObject({ code: 'TOKEN_REFUSED' });
    await expect(enroll({ ...request, url: 'http://192.0.2.1:1', token })).rejects.toMatchObject({ code: 'INSECURE' });
  });

  it('needs the private key of the public one', async () => {
    const { server, registry } = await guarded();
    const { token } = await registry.createToken();
    const victim = generateNodeKey();
    const thief = generateNodeKey();
    for (const forged of [{ ...thief, publicKey: victim.publicKey }, { ...thief, publicKey: victim.publicKey, fingerprint: victim.fingerprint }]) {
      await expect(enroll({ url: server.url, token, key: { ...forged, sign: (bytes) => thief.sign(bytes) }, clientId: 'kitchen', instance: 'i', dataset: '' })).rejects.toMatchObject({
        code: 'SIGNATURE_INVALID',
      });
    }
    expect(await registry.listNodes()).toEqual([]);
  });

  it('is refused with a clock that is off, or with a message that is none', async () => {
    const { server, registry } = await guarded();
    const { token } = await registry.createToken();
    const key = generateNodeKey();
    const send = async (type: string, skewMs: number, contentType = 'application/msgpack'): Promise<string | undefined> => {
      const body = pack({ v: 2, type, body: { token, publicKey: key.publicKey, dataset: '' } });
      const headers = { 'zk0-client': 'kitchen', 'zk0-instance': 'i', 'content-type': contentType, 'content-digest': contentDigest(body) };
      const signature = requestSigner(key, { now: () => Date.now() + skewMs })({ method: 'POST', target: '/enroll', headers });
      return decodeError((await ask(server.url, { method: 'POST', path: '/enroll', headers: { ...headers, ...signature }, body })).body)?.code;
    };
    expect(await send('enroll', 400_000)).toBe('CLOCK_SKEW');
    expect(await send('enroll', -400_000)).toBe('CLOCK_SKEW');
    expect(await send('join', 0)).toBe('MESSAGE_INVALID');
    expect(await send('enroll', 0, 'text/plain')).toBe('MESSAGE_INVALID');
    expect(await registry.listNodes()).toEqual([]);
    expect(await send('enroll', 0)).toBeUndefined();
  });

  it('that needs approval lets nobody in before it is given', async () => {
    const federation = await guarded();
    const { server, registry } = federation;
    const { token } = await registry.createToken({ needsApproval: true });
    const key = generateNodeKey();
    expect(await enroll({ url: server.url, token, key, clientId: 'client-1', instance: 'i', dataset: '' })).toMatchObject({ state: 'pending' });
    const node = client(federation, { key, serverId: registry.serverId });
    await expect(node.join(introduction)).rejects.toMatchObject({ code: 'NODE_PENDING', message: expect.stringContaining(key.fingerprint) as string });
    await registry.approveNode(key.fingerprint);
    await node.join(introduction);
  });
});

describe('a signed request', () => {
  const leave = pack({ v: 2, type: 'leave', body: {} });

  /** A raw request that is right in everything but what a test changes. */
  async function send(
    { server }: Guarded,
    enrolment: { key: NodeKey; serverId: string },
    change: { signed?: Record<string, string>; sent?: Record<string, string>; body?: Buffer; now?: number; nonce?: string } = {},
  ): Promise<Answer & { code: string | undefined }> {
    const headers: Record<string, string> = {
      'zk0-client': 'client-1',
      'zk0-instance': 'instance-1',
      'zk0-server': enrolment.serverId,
      'content-type': 'application/msgpack',
      'content-digest': contentDigest(leave),
      ...change.signed,
    };
    const { now = Date.now(), nonce } = change;
    const sign = requestSigner(enrolment.key, { now: () => now, ...(nonce === undefined ? {} : { nonce: () => nonce }) });
    const answer = await ask(server.url, {
      method: 'POST',
      path: '/messages',
      headers: { ...headers, ...sign({ method: 'POST', target: '/messages', headers }), ...change.sent },
      body: change.body ?? leave,
    });
    return { ...answer, code: decodeError(answer.body)?.code };
  }

  it('is taken once', async () => {
    const federation = await guarded();
    const enrolment = await enrolled(federation);
    const nonce = 'a-nonce-used-twice';
    expect(await send(federation, enrolment, { nonce })).toMatchObject({ status: 200 });
    expect(await send(federation, enrolment, { nonce })).toMatchObject({ status: 401, code: 'SIGNATURE_REPLAYED' });
    expect(federation.service.left).toEqual(['client-1']);
  });

  it('is taken once over all servers that share the registry', async () => {
    const used = new Set<string>();
    const sharedNonces = { take: (name: string): Promise<boolean> => Promise.resolve(!used.has(name) && used.add(name).size > 0) };
    const first = await guarded({ sharedNonces });
    const second = await guarded({ sharedNonces, registry: first.registry });
    const enrolment = await enrolled(first);
    expect(await send(first, enrolment, { nonce: 'a-nonce-used-twice' })).toMatchObject({ status: 200 });
    expect(await send(second, enrolment, { nonce: 'a-nonce-used-twice' })).toMatchObject({ status: 401, code: 'SIGNATURE_REPLAYED' });
    expect(await send(second, enrolment, { nonce: 'another-nonce-here' })).toMatchObject({ status: 200 });
  });

  it('is refused when its clock is off, and told by how much', async () => {
    const federation = await guarded();
    const enrolment = await enrolled(federation);
    const message = async (now: number): Promise<string | undefined> => decodeError((await send(federation, enrolment, { now })).body)?.message;
    expect(await message(Date.now() - 372_000)).toMatch(/^the client's clock is 37[12] s behind the server's; 300 s are allowed$/);
    expect(await message(Date.now() + 372_000)).toMatch(/^the client's clock is 37[12] s ahead of the server's; 300 s are allowed$/);
    expect(await message(Date.now() + 290_000)).toBeUndefined();
    // What was signed before this server started may have been taken by the one before it.
    expect(await send(federation, enrolment, { now: Date.now() - 60_000 })).toMatchObject({ code: 'SIGNATURE_REPLAYED' });
    expect(federation.service.left).toHaveLength(1);
  });

  it('is refused when it is altered, unsigned, for another server, or of another client', async () => {
    const federation = await guarded();
    const enrolment = await enrolled(federation);
    const other = await enrolled(federation, 'client-2');
    const cases: [Parameters<typeof send>[2], string][] = [
      [{ sent: { 'zk0-client': 'client-2' } }, 'SIGNATURE_INVALID'],
      [{ signed: { 'zk0-client': 'client-2' } }, 'UNAUTHORIZED'],
      [{ sent: { 'content-digest': contentDigest(pack({ v: 2, type: 'join', body: introduction })) } }, 'SIGNATURE_INVALID'],
      [{ body: pack({ v: 2, type: 'join', body: introduction }) }, 'MESSAGE_DAMAGED'],
      [{ sent: { signature: 'zk0=:AAAA:' } }, 'SIGNATURE_INVALID'],
      [{ sent: { 'signature-input': '' } }, 'SIGNATURE_INVALID'],
      [{ signed: { 'zk0-server': 'another' } }, 'WRONG_SERVER'],
      [{ signed: { 'zk0-client': '../x' } }, 'UNAUTHORIZED'],
    ];
    for (const [change, code] of cases) expect([change, (await send(federation, enrolment, change)).code]).toEqual([change, code]);
    expect((await send(federation, { ...enrolment, key: generateNodeKey() })).code).toBe('UNAUTHORIZED');
    expect((await send(federation, { ...enrolment, key: { ...enrolment.key, fingerprint: other.key.fingerprint } })).code).toBe('SIGNATURE_INVALID');
    await expect(client(federation).join(introduction)).rejects.toMatchObject({ code: 'UNAUTHORIZED', message: 'the request is not signed' });
    const blob = await ask(federation.server.url, { path: `/blobs/${'0'.repeat(64)}`, headers: { 'zk0-client': 'client-1', 'zk0-instance': 'i' } });
    expect(blob.status).toBe(401);
    expect(federation.service.left).toEqual([]);
    expect(federation.service.joined.size).toBe(0);
    expect((await send(federation, enrolment)).status).toBe(200);
  });

  it('is refused as soon as the node is revoked', async () => {
    const federation = await guarded();
    const node = client(federation, await enrolled(federation));
    await node.join(introduction);
    await federation.registry.revokeNode('client-1');
    await expect(node.heartbeat()).rejects.toMatchObject({ code: 'NODE_REVOKED' });
  });

  it('is told so while it waits for work, and has left: no round waits for it', async () => {
    const federation = await guarded();
    const [node, other] = [client(federation, await enrolled(federation)), client(federation, await enrolled(federation, 'client-2'), 'client-2')];
    await Promise.all([node, other].map((each) => each.join(introduction)));
    const [polled, others] = [node.poll(), other.poll()];
    await until(() => federation.service.waiting === 2);
    await federation.registry.revokeNode('client-1');
    await expect(polled).rejects.toMatchObject({ code: 'NODE_REVOKED', message: expect.stringContaining('client-1') as string });
    await until(() => federation.service.left.length > 0);
    expect(federation.service.left).toEqual(['client-1']);
    expect(federation.service.waiting).toBe(1);
    federation.service.give('client-2', makeTask({ taskId: 'more' }));
    expect((await others)?.taskId).toBe('more');
  });

  it('opens no operator’s route', async () => {
    const federation = await guarded();
    const { key, serverId } = await enrolled(federation);
    const headers = { 'zk0-client': 'client-1', 'zk0-instance': 'i', 'zk0-server': serverId };
    const signature = requestSigner(key)({ method: 'GET', target: '/admin/status', headers });
    const answer = await ask(federation.server.url, { path: '/admin/status', headers: { ...headers, ...signature } });
    expect(answer.status).toBe(401);
  });

  it('keeps every client to itself', async () => {
    const federation = await guarded();
    const nodes = await Promise.all(['a', 'b', 'c'].map(async (id) => client(federation, await enrolled(federation, id), id)));
    await Promise.all(nodes.map((node) => node.join(introduction)));
    const polls = nodes.map((node) => node.poll());
    await until(() => federation.service.waiting === 3);
    for (const id of ['a', 'b', 'c']) federation.service.give(id, makeTask({ taskId: id }));
    expect((await Promise.all(polls)).map((task) => task?.taskId)).toEqual(['a', 'b', 'c']);
  });
});

it('a server whose clients sign needs a credential for its operators', async () => {
  const registry = openNodeRegistry(join(await scope.directory(), 'nodes.sqlite'));
  scope.defer(() => registry.close());
  await expect(scope.server({ registry })).rejects.toMatchObject({ code: 'INSECURE' });
});
