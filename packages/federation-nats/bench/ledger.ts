import { Ledger, silentLog } from '@zk0/federation';
import { runConfigSchema, type RunEvent } from '@zk0/core';
import { openNatsStores, parseNatsAddress } from '@zk0/federation-nats';

// Writes a run of 100 rounds with 50 clients through the ledger on the NATS server that NATS_URL names, and reads it again.
const ROUNDS = 100;
const CLIENTS = Array.from({ length: 50 }, (_, n) => `client-${n}`);
const url = process.env['NATS_URL'] ?? 'nats://127.0.0.1:4222';
const address = parseNatsAddress(`${url}/bench-${Date.now()}${process.env['NATS_REPLICAS'] === undefined ? '' : `?replicas=${process.env['NATS_REPLICAS']}`}`);
const blob = { hash: 'a'.repeat(64), byteLength: 400_000_000 };
const stores = await openNatsStores(address, { log: silentLog });
const ledger = await Ledger.open(stores.ledger);
const runId = 'bench';
const record = async (event: RunEvent): Promise<void> => {
  await ledger.record(runId, event);
};

const times: number[] = [];
const timed = async (event: RunEvent): Promise<void> => {
  const begin = performance.now();
  await record(event);
  times.push(performance.now() - begin);
};
await timed({ type: 'run-created', runId, config: runConfigSchema.parse({ rounds: ROUNDS, minClients: CLIENTS.length }) });
await timed({ type: 'run-started', parameters: blob, context: { run: {} }, clients: CLIENTS });
await timed({ type: 'round-evaluated', round: 0, evaluation: null });
for (let round = 1; round <= ROUNDS; round++) {
  await timed({ type: 'round-configured', round, assignments: CLIENTS.map((clientId) => ({ clientId, instructions: { fit: { round, localSteps: 50, learningRate: 1e-4 } } })) });
  for (const clientId of CLIENTS) await timed({ type: 'update-accepted', round, clientId, update: blob, numExamples: 100, metrics: { loss: 0.5 } });
  await timed({ type: 'round-closed', round, reason: 'all-in' });
  await timed({ type: 'round-aggregated', round, parameters: blob, strategyState: null, strategyScalars: {}, metrics: {}, excluded: [] });
  await timed({ type: 'round-evaluated', round, evaluation: null });
  await timed({ type: 'round-checkpointed', round, path: null });
}
times.sort((a, b) => a - b);
const total = times.reduce((sum, ms) => sum + ms, 0);
console.log(`${times.length} events: ${(total / times.length).toFixed(2)} ms each, half within ${times[times.length >> 1]!.toFixed(2)} ms, 99 of 100 within ${times[Math.floor(times.length * 0.99)]!.toFixed(2)} ms`);

const another = await openNatsStores(address, { log: silentLog });
const begin = performance.now();
const opened = await Ledger.open(another.ledger);
console.log(`opened with ${(await opened.run(runId))!.length} entries of an open run in ${((performance.now() - begin) / 1000).toFixed(2)} s`);
const asked = performance.now();
for (let n = 0; n < 100; n++) await opened.summaries();
console.log(`a list of runs: ${((performance.now() - asked) / 100).toFixed(2)} ms`);
await Promise.all([stores.close(), another.close()]);
