/**
 * What a long history costs: `npx nx bench federation`. A run of 500 rounds with 50 clients goes through the ledger into SQLite; then the
 * server's status is asked, the ledger is opened anew, and the status is asked again, with the run finished and with it open.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runConfigSchema, type RunEvent } from '@zk0/core';
import { openBlobStore } from '@zk0/storage';
import { Coordinator, Ledger, openSqliteStores, type FederatedModel } from '../src/index.ts';

const ROUNDS = 500;
const CLIENTS = 50;
const directory = mkdtempSync(join(tmpdir(), 'zk0-ledger-bench-'));
const path = join(directory, 'journal.sqlite');
const blob = { hash: 'a'.repeat(64), byteLength: 400_000_000 };
const clients = Array.from({ length: CLIENTS }, (_, index) => `client-${index}`);
const metrics = { loss: 0.5, policy_loss: 0.5, fedprox_loss: 0.001, grad_norm: 1.5, num_steps: 20, duration_s: 12.5, bytes_up: 4e8, bytes_down: 4e8 };

function* history(runId: string, isFinished: boolean): Generator<RunEvent> {
  yield { type: 'run-created', runId, config: runConfigSchema.parse({ rounds: ROUNDS, minClients: CLIENTS }) };
  yield { type: 'run-started', parameters: blob, context: { run: { policy: 'small' } }, clients };
  yield { type: 'round-evaluated', round: 0, evaluation: null };
  for (let round = 1; round <= ROUNDS; round++) {
    const instructions = { localSteps: 20, batchSize: 8, learningRate: 1e-4, mu: 0.01 };
    yield { type: 'round-configured', round, assignments: clients.map((clientId) => ({ clientId, instructions })) };
    for (const clientId of clients) yield { type: 'update-accepted', round, clientId, update: blob, numExamples: 100, metrics };
    yield { type: 'round-closed', round, reason: 'all-in' };
    yield { type: 'round-aggregated', round, parameters: blob, strategyState: null, strategyScalars: {}, metrics, excluded: [] };
    yield { type: 'round-evaluated', round, evaluation: { policyLoss: 0.5, totalSamples: 100, datasets: [] } };
    if (round < ROUNDS || isFinished) yield { type: 'round-checkpointed', round, path: null };
  }
  if (isFinished) yield { type: 'run-finished' };
}

const model: FederatedModel = {
  describeClient: () => ({ label: 'bench', numExamples: 1 }),
  openRun: () => Promise.reject(new Error('the bench drives no run')),
};

async function status(ledger: Ledger): Promise<string> {
  const leases = { acquire: () => Promise.resolve({ name: '', holder: '', expiresAt: 0 }), release: () => Promise.resolve() };
  const blobs = await openBlobStore(join(directory, 'blobs'));
  const coordinator = new Coordinator({ ledger, leases, blobs, model, scratchDirectory: join(directory, 'scratch') });
  const times: number[] = [];
  for (let count = 0; count < 21; count++) {
    const begun = performance.now();
    await coordinator.status();
    times.push(performance.now() - begun);
  }
  return `status ${times.sort((a, b) => a - b)[10]!.toFixed(1)} ms (median of 21, at most ${times.at(-1)!.toFixed(1)})`;
}

try {
  for (const isFinished of [true, false]) {
    const stores = openSqliteStores(path);
    const ledger = await Ledger.open(stores.ledger);
    const begun = performance.now();
    let events = 0;
    for (const event of history(`run-${String(isFinished)}`, isFinished)) {
      await ledger.record(`run-${String(isFinished)}`, event);
      events++;
    }
    const seconds = (performance.now() - begun) / 1000;
    process.stdout.write(`${events} events of a run that is ${isFinished ? 'finished' : 'open'}: ${((seconds * 1e3) / events).toFixed(2)} ms each, ${(statSync(path).size / 1e6).toFixed(0)} MB\n`);
    stores.close();
    const opening = performance.now();
    const again = openSqliteStores(path);
    const reopened = await Ledger.open(again.ledger);
    process.stdout.write(`  opened anew in ${(performance.now() - opening).toFixed(0)} ms; ${await status(reopened)}\n`);
    again.close();
  }
} finally {
  rmSync(directory, { recursive: true });
}
