import { join } from 'node:path';
import { Random, type BlobReference, type Parameters, type RunConfigInput, type RunState } from '@zk0/core';
import { StorageError, type BlobStore, type ByteRange } from '@zk0/storage';
import { afterEach, describe, expect, it } from 'vitest';
import { Ledger, MemoryPartTable, PartQueue, PartWorker, silentLog, systemClock, type FederatedModel, type LocalModel, type SharedParts } from '../src/index.ts';
import { MemoryLedgerStore } from '../src/testing.ts';
import { testFederations, type TestFederation } from './harness.ts';
import { config } from './two-numbers.ts';

const { scratch, federation } = testFederations();
const SHAPES: Readonly<Record<string, readonly number[]>> = { a: [5], b: [40, 9], c: [300], d: [2, 2], e: [64] };
const numbers = (seed: string): Parameters => {
  const random = new Random(seed);
  return new Map(Object.entries(SHAPES).map(([name, shape]) => [name, { shape, data: random.fillNormal(new Float32Array(shape.reduce((all, size) => all * size, 1))) }]));
};

/** Five small tensors: a pass over them has five blocks. */
const model: FederatedModel = {
  describeClient: () => ({ label: 'numbers', numExamples: 10 }),
  openRun: () => Promise.resolve({
    trainingDefaults: { localSteps: 1, batchSize: 1, learningRate: 0.3 },
    start: () => Promise.resolve({ parameters: numbers('initial'), context: { run: {} } }),
    saveCheckpoint: (_path, round) => Promise.resolve(`checkpoint_${round}`),
  }),
};
const moved = (from: Parameters, to: Parameters, rate: number): Parameters =>
  new Map([...from].map(([name, { shape, data }]) => [name, { shape, data: data.map((value, at) => value + rate * (to.get(name)!.data[at]! - value)) }]));
const client = (id: string): LocalModel => ({
  profile: () => ({}),
  fit: ({ fit }, global, { correction }) =>
    Promise.resolve({ parameters: moved(global, numbers(id), fit.learningRate), numExamples: 1 + Number(id.slice(1)), metrics: { loss: 1 + Number(id.slice(1)) }, ...(correction !== undefined && { meanGradient: numbers(id) }) }),
});

/** Workers with a ledger of their own, as separate processes have. */
interface Workers {
  readonly parts: SharedParts;
  readonly queue: PartQueue;
  readonly start: (blobs: BlobStore, holder: string) => Promise<AbortController>;
}

const running: { readonly stop: AbortController; readonly ended: Promise<void> }[] = [];
afterEach(async () => {
  for (const { stop } of running) stop.abort();
  await Promise.all(running.splice(0).map(({ ended }) => ended));
});

function workers(store: MemoryLedgerStore): Workers {
  const queue = new PartQueue(new MemoryPartTable(systemClock), systemClock);
  return {
    queue,
    parts: { queue, holder: 'leader', clock: systemClock, maxParts: 3, minBytes: 0 },
    start: async (blobs, holder) => {
      const stop = new AbortController();
      const worker = new PartWorker({ queue, holder, ledger: await Ledger.open(store), blobs, scratchDirectory: join(scratch.path, holder), clock: systemClock, log: silentLog });
      running.push({ stop, ended: worker.run(stop.signal) });
      return stop;
    },
  };
}

async function finished(made: TestFederation, settings: RunConfigInput): Promise<RunState> {
  for (let index = 0; index < 4; index++) await made.join(`c${index}`, client(`c${index}`));
  return made.ends(await made.coordinator.submit(config({ rounds: 3, minClients: 4, ...settings })));
}

const alone = async (settings: RunConfigInput): Promise<RunState> => finished(await federation({ model }), settings);
/** Without the times that transfers took. */
const outcome = ({ phase, parameters, strategyState, strategyScalars, rounds }: RunState): unknown => [
  phase, parameters, strategyState, strategyScalars,
  rounds.map(({ aggregate }) => [aggregate!.parameters, aggregate!.excluded, aggregate!.metrics['param_update_norm'], aggregate!.metrics['loss']]),
];

describe('an aggregation that several processes share', () => {
  const CASES: readonly RunConfigInput[] = [
    { strategy: { name: 'fedadam' } },
    { strategy: { name: 'fedmedian' }, updateEncoding: 'int8', broadcastEncoding: 'bfloat16' },
    { strategy: { name: 'multikrum', malicious: 1, keep: 2 } },
    { strategy: { name: 'qfedavg', learningRate: 1 } },
    { strategy: { name: 'scaffold' } },
    { strategy: { name: 'fedavg' }, localStepsBySpeed: 4 },
  ];
  for (const settings of CASES) {
    it(`gives the bytes and figures of one: ${JSON.stringify(settings)}`, async () => {
      const store = new MemoryLedgerStore();
      const { parts, start } = workers(store);
      const made = await federation({ model, parts }, store);
      for (const holder of ['first', 'second']) await start(made.blobs, `${made.scratchDirectory.replaceAll('/', '-')}-${holder}`);
      const shared = await finished(made, settings);
      const whole = await alone(settings);
      expect(made.log.matching(/is done here|computed again/)).toEqual([]);
      if (settings.localStepsBySpeed === undefined) expect(outcome(shared)).toEqual(outcome(whole));
      else expect(shared.phase).toBe('finished');
    });
  }

  it('reads of updates that are elsewhere what its parts need, and no more', async () => {
    const store = new MemoryLedgerStore();
    const { parts, start } = workers(store);
    const made = await federation({ model, parts }, store);
    const whole = new Set<string>();
    let ranges = 0;
    const remote = new Proxy(made.blobs, {
      get: (target, key) => {
        if (key === 'isRemote') return true;
        if (key === 'verifiedFile') return (blob: BlobReference) => (whole.add(blob.hash), target.verifiedFile(blob));
        if (key === 'openRead') return (hash: string, range: ByteRange) => (ranges++, target.openRead(hash, range));
        const value = Reflect.get(target, key, target) as unknown;
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    const begun = performance.now();
    await start(remote, 'remote');
    const shared = await finished(made, { strategy: { name: 'multikrum', malicious: 1, keep: 2 }, updateEncoding: 'int8' });
    expect(outcome(shared)).toEqual(outcome(await alone({ strategy: { name: 'multikrum', malicious: 1, keep: 2 }, updateEncoding: 'int8' })));
    const sent = shared.rounds.flatMap(({ participants }) => [...participants.values()].flatMap(({ outcome: one }) => (one.state === 'accepted' ? [one.update.hash] : [])));
    expect(sent.filter((hash) => whole.has(hash))).toEqual([]);
    expect(ranges).toBeGreaterThan(0);
    // Nobody had to help out after a moment.
    expect(performance.now() - begun).toBeLessThan(9000);
  });

  it('is computed here where nobody takes parts, after a moment, and nobody is asked again at once', async () => {
    const store = new MemoryLedgerStore();
    const { parts } = workers(store);
    const made = await federation({ model, parts }, store);
    const shared = await finished(made, {});
    expect(outcome(shared)).toEqual(outcome(await alone({})));
    expect(made.log.matching(/nobody takes parts of the aggregation/)).toHaveLength(1);
  });

  it('goes on when a worker stops in the middle, or cannot read what it needs', { timeout: 60_000 }, async () => {
    const store = new MemoryLedgerStore();
    const { parts, start, queue } = workers(store);
    const made = await federation({ model, parts }, store);
    const broken = new Proxy(made.blobs, {
      get: (target, key) => key === 'verifiedFile' ? () => Promise.reject(new StorageError('BLOB_NOT_FOUND', 'no such blob')) : (Reflect.get(target, key, target) as unknown),
    });
    await start(broken, 'broken');
    // It takes a part, and says no more of it.
    const silent = new AbortController();
    running.push({ stop: silent, ended: queue.take('silent', silent.signal).then(() => undefined) });
    const shared = await finished(made, { rounds: 1 });
    expect(outcome(shared)).toEqual(outcome(await alone({ rounds: 1 })));
  });
});
