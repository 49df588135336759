import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { SharedRow, SharedTable } from '@zk0/storage';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { generateNodeKey, openNodeKey, openNodeRegistry, openOperatorToken, openSharedRegistry, type NodeRegistry } from '../src/index.ts';
import { Scope } from './harness.ts';

const scope = new Scope();
afterEach(() => scope.dispose());

const DAY = 24 * 3600 * 1000;

/** What every registry has to do; `open` gives one that reads the time from `clock`. */
function registryContract(name: string, open: (clock: { now: number }) => Promise<NodeRegistry>): void {
  describe(name, () => {
    const clock = { now: 1_800_000_000_000 };
    const make = async (): Promise<NodeRegistry> => {
      const registry = await open(clock);
      scope.defer(() => registry.close());
      return registry;
    };
    const enrolment = (token: string, clientId = 'kitchen', key = generateNodeKey()): Parameters<NodeRegistry['enroll']>[0] => ({
      token, clientId, publicKey: key.publicKey, dataset: 'so101/pick',
    });

    it('enrols one node with a token, and no second one', async () => {
      const registry = await make();
      const { token, info } = await registry.createToken({ note: 'for the kitchen' });
      expect(info).toMatchObject({ uses: 1, used: 0, needsApproval: false, note: 'for the kitchen', revokedAt: null });
      expect(info.expiresAt.getTime() - info.createdAt.getTime()).toBe(7 * DAY);
      const key = generateNodeKey();
      const node = await registry.enroll(enrolment(token, 'kitchen', key));
      expect(node).toEqual({
        clientId: 'kitchen', fingerprint: key.fingerprint, publicKey: key.publicKey, dataset: 'so101/pick', state: 'approved',
        enrolledAt: new Date(clock.now), lastSeenAt: null, tokenId: info.id,
      });
      expect(await registry.node(key.fingerprint)).toEqual(node);
      await expect(registry.enroll(enrolment(token, 'garage'))).rejects.toMatchObject({
        code: 'TOKEN_REFUSED', message: 'the enrolment token is refused: it was used',
      });
      expect(await registry.listNodes()).toEqual([node]);
      expect(await registry.listTokens()).toEqual([{ ...info, used: 1 }]);
    });

    it('answers a node that enrols again as before, without another use', async () => {
      const registry = await make();
      const { token } = await registry.createToken();
      const again = enrolment(token);
      expect(await registry.enroll(again)).toEqual(await registry.enroll(again));
      expect(await registry.listTokens()).toMatchObject([{ used: 1 }]);
    });

    it('takes a new token for a node that is enrolled, and lets it change its id with it', async () => {
      const registry = await make();
      const key = generateNodeKey();
      const first = await registry.createToken();
      await registry.enroll(enrolment(first.token, 'kitchen', key));
      const second = await registry.createToken();
      expect(await registry.enroll(enrolment(second.token, 'garage', key))).toMatchObject({ clientId: 'garage', tokenId: second.info.id });
      const third = await registry.createToken();
      expect(await registry.enroll(enrolment(third.token, 'garage', key))).toMatchObject({ tokenId: third.info.id });
      expect((await registry.listTokens()).map(({ used }) => used)).toEqual([1, 1, 1]);
      expect(await registry.listNodes()).toHaveLength(1);
    });

    it('enrols as many as the token says', async () => {
      const registry = await make();
      const { token } = await registry.createToken({ uses: 3 });
      for (const id of ['a', 'b', 'c']) await registry.enroll(enrolment(token, id));
      await expect(registry.enroll(enrolment(token, 'd'))).rejects.toMatchObject({ message: expect.stringContaining('used 3 times') as string });
    });

    it('refuses tokens that are unknown, expired or revoked', async () => {
      const registry = await make();
      await expect(registry.enroll(enrolment('zk0-nonsense'))).rejects.toMatchObject({ code: 'TOKEN_REFUSED' });
      const short = await registry.createToken({ expiresInMs: DAY });
      clock.now += DAY;
      await expect(registry.enroll(enrolment(short.token))).rejects.toMatchObject({
        message: `the enrolment token is refused: it expired at ${new Date(clock.now).toISOString()}`,
      });
      const { token, info } = await registry.createToken();
      expect((await registry.revokeToken(info.id)).revokedAt).toEqual(new Date(clock.now));
      await expect(registry.enroll(enrolment(token))).rejects.toMatchObject({ message: expect.stringContaining('revoked') as string });
      await expect(registry.revokeToken('nothing')).rejects.toMatchObject({ code: 'TOKEN_UNKNOWN' });
      expect(await registry.listNodes()).toEqual([]);
    });

    it('lets nodes wait for an operator where the token says so', async () => {
      const registry = await make();
      const { token } = await registry.createToken({ needsApproval: true });
      expect(await registry.enroll(enrolment(token))).toMatchObject({ state: 'pending' });
      expect(await registry.approveNode('kitchen')).toMatchObject({ state: 'approved' });
      await expect(registry.approveNode('garage')).rejects.toMatchObject({ code: 'NODE_UNKNOWN' });
    });

    it('keeps an id for one node, until it is revoked; a revoked key never comes back', async () => {
      const registry = await make();
      const { token } = await registry.createToken({ uses: 9 });
      const first = generateNodeKey();
      await registry.enroll(enrolment(token, 'kitchen', first));
      await expect(registry.enroll(enrolment(token))).rejects.toMatchObject({ code: 'CLIENT_ID_TAKEN' });
      expect(await registry.revokeNode('kitchen')).toMatchObject({ state: 'revoked', fingerprint: first.fingerprint });
      const second = await registry.enroll(enrolment(token));
      await expect(registry.enroll(enrolment(token, 'kitchen', first))).rejects.toMatchObject({ code: 'NODE_REVOKED' });
      await expect(registry.approveNode(first.fingerprint)).rejects.toMatchObject({ code: 'NODE_REVOKED' });
      // The name means the node that is enrolled now.
      expect(await registry.approveNode('kitchen')).toMatchObject({ fingerprint: second.fingerprint });
      expect((await registry.listNodes()).map(({ state }) => state)).toEqual(['revoked', 'approved']);
    });

    it('remembers when a node’s last request came', async () => {
      const registry = await make();
      const { token } = await registry.createToken();
      const { fingerprint } = await registry.enroll(enrolment(token));
      expect((await registry.node(fingerprint))?.lastSeenAt).toBe(null);
      for (const later of [0, 59_000, 1000]) {
        clock.now += later;
        await registry.seen(fingerprint);
        expect((await registry.node(fingerprint))?.lastSeenAt?.getTime()).toBe(clock.now);
        expect((await registry.listNodes())[0]!.lastSeenAt?.getTime()).toBe(clock.now);
      }
    });

    it.each([{ uses: 0 }, { uses: 1.5 }, { uses: 10_001 }, { expiresInMs: 0 }, { expiresInMs: -1 }, { expiresInMs: NaN }, { expiresInMs: 1e300 }, { note: 'x'.repeat(201) }])(
      'makes no token for %j',
      async (options) => {
        await expect((await make()).createToken(options)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      },
    );
  });
}

registryContract('a registry in SQLite', async (clock) =>
  openNodeRegistry(join(await scope.directory(), 'nodes.sqlite'), { now: () => clock.now }),
);

/** A table as several servers have it: in this process, with answers that come a moment later. */
class MemoryTable implements SharedTable {
  readonly rows = new Map<string, SharedRow>();
  #revision = 0;

  async get(key: string): Promise<SharedRow | null> {
    await Promise.resolve();
    return this.rows.get(key) ?? null;
  }

  async list(prefix: string): Promise<readonly SharedRow[]> {
    await Promise.resolve();
    return [...this.rows.values()].filter(({ key }) => key.startsWith(prefix));
  }

  async replace(key: string, value: string, revision: number | null): Promise<boolean> {
    await Promise.resolve();
    if ((this.rows.get(key)?.revision ?? null) !== revision) return false;
    this.rows.set(key, { key, value, revision: ++this.#revision });
    return true;
  }

  async remove(key: string): Promise<void> {
    await Promise.resolve();
    this.rows.delete(key);
  }
}

registryContract('a registry that servers share', (clock) => openSharedRegistry(new MemoryTable(), { now: () => clock.now }));

describe('a registry that servers share', () => {
  it('is one for all of them: nodes that enrol at one are known at the others, and holds no token', async () => {
    const table = new MemoryTable();
    const [first, second] = [await openSharedRegistry(table), await openSharedRegistry(table)];
    expect(second.serverId).toBe(first.serverId);
    const { token } = await first.createToken();
    const node = await second.enroll({ token, clientId: 'kitchen', publicKey: generateNodeKey().publicKey, dataset: '' });
    expect(await first.node(node.fingerprint)).toEqual(node);
    expect(JSON.stringify([...table.rows])).not.toContain(token);
    await first.revokeNode('kitchen');
    expect(await first.node(node.fingerprint)).toMatchObject({ state: 'revoked' });
    await vi.waitFor(async () => { expect(await second.node(node.fingerprint)).toMatchObject({ state: 'revoked' }); }, 10_000);
  });

  it('lets as many enrol as a token says, and one under a name, wherever they ask at the same moment', async () => {
    const table = new MemoryTable();
    const servers = await Promise.all(Array.from({ length: 4 }, () => openSharedRegistry(table)));
    const enrolled = async (token: string, clientId: (n: number) => string): Promise<number> => {
      const asked = servers.map((server, n) => server.enroll({ token, clientId: clientId(n), publicKey: generateNodeKey().publicKey, dataset: '' }));
      return (await Promise.allSettled(asked)).filter(({ status }) => status === 'fulfilled').length;
    };
    expect(await enrolled((await servers[0]!.createToken({ uses: 2 })).token, (n) => `node-${n}`)).toBe(2);
    expect(await enrolled((await servers[0]!.createToken({ uses: 4 })).token, () => 'kitchen')).toBe(1);
    expect((await servers[0]!.listNodes()).filter(({ clientId }) => clientId === 'kitchen')).toHaveLength(1);
  });

  it('is refused where another release wrote it', async () => {
    const table = new MemoryTable();
    await table.replace('server', '{"id":5}', null);
    await expect(openSharedRegistry(table)).rejects.toMatchObject({ code: 'REGISTRY_UNUSABLE' });
  });
});

describe('the file of a registry', () => {
  it('keeps everything, is private, holds no token, and is shared by processes', async () => {
    const path = join(await scope.directory(), 'nodes.sqlite');
    const first = openNodeRegistry(path);
    const { token } = await first.createToken();
    const second = openNodeRegistry(path);
    expect(second.serverId).toBe(first.serverId);
    const node = await second.enroll({ token, clientId: 'kitchen', publicKey: generateNodeKey().publicKey, dataset: '' });
    expect(await first.node(node.fingerprint)).toEqual(node);
    await first.close();
    await second.close();
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await readFile(path)).includes(token)).toBe(false);
    const third = openNodeRegistry(path);
    scope.defer(() => third.close());
    expect(third.serverId).toBe(first.serverId);
    expect(await third.listNodes()).toEqual([node]);
  });

  it('is written once a minute for all nodes that were seen, and at the end', async () => {
    const clock = { now: 1_800_000_000_000 };
    const path = join(await scope.directory(), 'nodes.sqlite');
    const registry = openNodeRegistry(path, { now: () => clock.now });
    const other = openNodeRegistry(path);
    scope.defer(() => other.close());
    const { token } = await registry.createToken({ uses: 2 });
    const enroll = (clientId: string) => registry.enroll({ token, clientId, publicKey: generateNodeKey().publicKey, dataset: '' });
    const [anna, ben] = [await enroll('anna'), await enroll('ben')];
    const read = async (): Promise<(number | undefined)[]> => (await other.listNodes()).map(({ lastSeenAt }) => lastSeenAt?.getTime());
    const begun = clock.now;
    await registry.seen(anna.fingerprint);
    expect(await read()).toEqual([begun, undefined]);
    clock.now += 30_000;
    await registry.seen(ben.fingerprint);
    expect(await read()).toEqual([begun, undefined]);
    clock.now += 30_000;
    await registry.seen(anna.fingerprint);
    expect(await read()).toEqual([begun + 60_000, begun + 30_000]);
    clock.now += 1000;
    await registry.seen(ben.fingerprint);
    await registry.close();
    expect(await read()).toEqual([begun + 60_000, begun + 61_000]);
  });

  it('that is damaged, of a later release, or in no folder is refused by name', async () => {
    const directory = await scope.directory();
    const path = join(directory, 'nodes.sqlite');
    await writeFile(path, 'this is not a database, but it is long enough to look like one at first sight'.repeat(20));
    expect(() => openNodeRegistry(path)).toThrow(expect.objectContaining({ code: 'REGISTRY_UNUSABLE', message: expect.stringContaining(path) as string }) as Error);
    const later = new DatabaseSync(join(directory, 'later.sqlite'));
    later.exec('PRAGMA user_version = 2');
    later.close();
    expect(() => openNodeRegistry(join(directory, 'later.sqlite'))).toThrow('version 2; this release reads 1');
    expect(() => openNodeRegistry(join(directory, 'nowhere', 'nodes.sqlite'))).toThrow(expect.objectContaining({ code: 'REGISTRY_UNUSABLE' }) as Error);
  });
});

describe('a key', () => {
  it('is made once, is private, and stays', async () => {
    const path = join(await scope.directory(), 'deep', 'node.key');
    const [first, second] = await Promise.all([openNodeKey(path), openNodeKey(path)]);
    expect(first.fingerprint).toBe(second.fingerprint);
    expect(first.fingerprint).toMatch(/^[\w-]{43}$/);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await openNodeKey(path)).publicKey).toBe(first.publicKey);
    expect(await readFile(path, 'utf8')).toMatch(/^-----BEGIN PRIVATE KEY-----/);
  });

  it('that others may read, or that is none, is refused', async () => {
    const path = join(await scope.directory(), 'node.key');
    await openNodeKey(path);
    await chmod(path, 0o640);
    await expect(openNodeKey(path)).rejects.toMatchObject({ code: 'SECRET_FILE_UNUSABLE', hint: expect.stringContaining(`chmod 600 ${path}`) as string });
    for (const [content, problem] of [['', 'it is empty'], ['nonsense', 'it holds no Ed25519 key'], ['x'.repeat(5000), '5000 bytes']] as const) {
      await writeFile(path, content);
      await chmod(path, 0o600);
      await expect(openNodeKey(path)).rejects.toMatchObject({ code: 'SECRET_FILE_UNUSABLE', message: expect.stringContaining(problem) as string });
    }
  });
});

it('an operator’s token is made once, is private, and stays', async () => {
  const path = join(await scope.directory(), 'operator.token');
  const token = await openOperatorToken(path);
  expect(token).toMatch(/^[\w-]{43}$/);
  expect(await openOperatorToken(path)).toBe(token);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});
