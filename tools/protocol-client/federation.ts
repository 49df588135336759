/**
 * A federation of a two-number model for `client.py`: one run of one round, with enrolment. Prints the server's address and a token, and
 * at the end what became of the round.
 *
 *     node --conditions=@zk0/source tools/protocol-client/federation.ts
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runConfigSchema } from '@zk0/core';
import { Coordinator, Ledger, openSqliteStores, type RunModel } from '@zk0/federation';
import { openBlobStore, readParameters } from '@zk0/storage';
import { createTransportServer, openNodeRegistry } from '@zk0/transport';

const directory = mkdtempSync(join(tmpdir(), 'zk0-protocol-'));
const stores = openSqliteStores(join(directory, 'ledger.sqlite'));
const blobs = await openBlobStore(join(directory, 'blobs'));
const registry = openNodeRegistry(join(directory, 'nodes.sqlite'));
const run: RunModel = {
  trainingDefaults: { localSteps: 1, batchSize: 1, learningRate: 0.5 },
  misfit: () => null,
  start: () => Promise.resolve({ parameters: new Map([['w', { shape: [2], data: Float32Array.of(1, -2) }]]), context: {} }),
  evaluate: () => Promise.resolve(null),
  saveCheckpoint: async (path) => {
    const { data } = (await readParameters(path)).get('w')!;
    process.stdout.write(`parameters after the round: ${[...data].join(' ')}\n`);
    return 'checkpoint';
  },
  close: () => Promise.resolve(),
};
const coordinator = new Coordinator({
  ledger: await Ledger.open(stores.ledger),
  leases: stores.leases,
  blobs,
  model: { describeClient: () => ({ label: 'none', numExamples: 100 }), checkConfig: () => undefined, openRun: () => Promise.resolve(run) },
  scratchDirectory: join(directory, 'scratch'),
});
const stop = new AbortController();
const done = coordinator.run(stop.signal);
const server = await createTransportServer({ host: '127.0.0.1', port: 0, blobs, service: coordinator, registry, operatorToken: 'operator' });
const { token } = await registry.createToken();
const runId = await coordinator.submit(runConfigSchema.parse({ rounds: 1, minClients: 1, strategy: { name: 'fedavg' } }));
process.stdout.write(`${server.url} ${token}\n`);
for await (const event of coordinator.events(runId, AbortSignal.timeout(60_000))) {
  const kind = JSON.stringify(event);
  process.stdout.write(`${kind.slice(0, 200)}\n`);
  if (/run-(finished|failed|stopped)/.test(kind)) break;
}
stop.abort();
await done;
await server.close();
await registry.close();
stores.close();
rmSync(directory, { recursive: true });
