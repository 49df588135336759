import { join } from 'node:path';
import { readBlob } from '@zk0/storage/testing';
import { afterEach, expect, it } from 'vitest';
import { enroll, generateNodeKey, openNodeRegistry } from '../src/index.ts';
import { chaosProxy } from '../src/testing.ts';
import { makeTask, randomBytes, Scope, sha256 } from './harness.ts';

const scope = new Scope();
afterEach(() => scope.dispose());

/** Several rounds of several clients over a line that cuts, truncates, delays and corrupts most connections. */
it.each([1, 2])('a federation of clients with keys finishes over a line that damages everything (seed %i)', async (seed) => {
  const directory = await scope.directory();
  const registry = openNodeRegistry(join(directory, 'nodes.sqlite'));
  scope.defer(() => registry.close());
  const { server, service, blobs } = await scope.server({ registry, operatorToken: 'operator', limits: { noProgressMs: 1000, pollWaitMs: 500 } });
  const line = await chaosProxy(server.url, { seed, share: 0.8, maxBytes: 400_000, maxDelayMs: 50 });
  scope.defer(() => line.close());
  const { token } = await registry.createToken({ uses: 3 });
  const said = new Set<string>();
  const parameters = await blobs.put(randomBytes(120_000, seed));

  const work = async (index: number): Promise<void> => {
    const clientId = `client-${index}`;
    const key = generateNodeKey();
    const { serverId } = await enroll({ url: server.url, token, key, clientId, instance: 'i', dataset: '' });
    const client = scope.client(line.url, {
      clientId, instance: 'i', enrolment: { key, serverId }, noProgressMs: 1000,
      onConnectionState: (state) => { if (state.state === 'retrying') said.add(state.error.code); },
    });
    const local = await scope.store();
    await client.join({ name: clientId, agent: 'test/1', profile: {} });
    client.startHeartbeat({ intervalMs: 30 });
    for (let round = 1; round <= 4; round++) {
      const task = makeTask({ taskId: `run/${round}/${clientId}`, runId: 'run', round, parameters });
      service.give(clientId, task);
      expect(await client.poll()).toEqual(task);
      await client.download(parameters.hash, parameters.byteLength, local);
      const update = await local.put(randomBytes(100_000, 1000 * seed + 10 * index + round));
      await client.upload(update.hash, local);
      const outcome = { ok: true, update, numExamples: index, metrics: { loss: round } } as const;
      const { status } = await client.result({ taskId: task.taskId, runId: 'run', round, attempt: 1, outcome });
      expect(['accepted', 'duplicate']).toContain(status);
    }
  };
  await Promise.all([1, 2, 3].map(work));

  expect(service.results).toHaveLength(12);
  for (const { clientId, round, outcome } of service.results) {
    const index = Number(clientId.slice(-1));
    const bytes = randomBytes(100_000, 1000 * seed + 10 * index + round);
    expect(outcome).toEqual({ ok: true, update: { hash: sha256(bytes), byteLength: 100_000 }, numExamples: index, metrics: { loss: round } });
    expect(Buffer.from(await readBlob(blobs, sha256(bytes))).equals(bytes)).toBe(true);
  }
  // The line was as bad as it was meant to be.
  expect(Object.values(line.faults).every((count) => count > 0)).toBe(true);
  expect(said.size).toBeGreaterThan(0);
});
