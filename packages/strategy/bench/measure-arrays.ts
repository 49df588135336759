/** FedAvg on arrays in memory, in a process of its own: `node measure-arrays.ts '<json>' <kind>` prints its seconds. */
import { readParameters } from '@zk0/storage';
import { aggregateParameters, createStrategy, WorkerPool } from '../src/index.ts';
import { modelPath } from './files.ts';
import type { Job } from './measure.ts';

/** How the arrays lie in memory: in `SharedArrayBuffer`s, which worker threads read, or in ordinary ones, left to the calling thread. */
export type ArrayKind = 'shared' | 'ordinary';

const job = JSON.parse(process.argv[2] ?? '') as Job;
const kind = process.argv[3] as ArrayKind;
const strategy = createStrategy(job.config);
const pool = new WorkerPool(job.workers);
process.stdout.write(JSON.stringify(await measure()));
await pool.close();

/** Median of the seconds of several aggregations, result included; nothing was checked before. */
async function measure(): Promise<number> {
  const paths = Array.from({ length: job.clients + 1 }, (_, client) => modelPath(job.folder, client));
  const [global, ...models] = await Promise.all(paths.map((path) => readParameters(path, { shared: kind === 'shared' })));
  const updates = models.map((parameters, index) => ({ clientId: `client-${index}`, parameters, numExamples: 100 + index }));
  const seconds: number[] = [];
  for (let repeat = 0; repeat < job.repeats; repeat++) {
    // As Flower is measured: what an earlier run left behind is cleared away before the clock starts.
    globalThis.gc!();
    const start = performance.now();
    await aggregateParameters(strategy, { global: global!, updates }, { workers: pool });
    seconds.push((performance.now() - start) / 1000);
  }
  return seconds.sort((a, b) => a - b)[Math.floor(seconds.length / 2)]!;
}
