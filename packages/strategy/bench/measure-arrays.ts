/** FedAvg on arrays in memory, in a process of its own: `node measure-arrays.ts '<json>' <kind>` prints an {@link ArraysMeasurement}. */
import type { Parameters } from '@zk0/core';
import { readParameters } from '@zk0/storage';
import { aggregateParameters, createStrategy, WorkerPool, type ParametersOptions } from '../src/index.ts';
import { modelPath } from './files.ts';
import type { Job } from './measure.ts';

/** How the arrays lie in memory: in `SharedArrayBuffer`s, which worker threads read, or in ordinary ones, left to the calling thread. */
export type ArrayKind = 'shared' | 'ordinary';

/** Seconds of an aggregation into new memory, and into that of an earlier result. */
export interface ArraysMeasurement {
  readonly anew: number;
  readonly into: number;
}

const job = JSON.parse(process.argv[2] ?? '') as Job;
const kind = process.argv[3] as ArrayKind;
const strategy = createStrategy(job.config);
const pool = new WorkerPool(job.workers);
process.stdout.write(JSON.stringify(await measure()));
await pool.close();

/** Medians of the seconds of several aggregations, nothing checked before, into new memory and into that of an earlier result. */
async function measure(): Promise<ArraysMeasurement> {
  const paths = Array.from({ length: job.clients + 1 }, (_, client) => modelPath(job.folder, client));
  const [global, ...models] = await Promise.all(paths.map((path) => readParameters(path, { shared: kind === 'shared' })));
  const updates = models.map((parameters, index) => ({ clientId: `client-${index}`, parameters, numExamples: 100 + index }));
  const timed = async (options: ParametersOptions): Promise<[seconds: number, result: Parameters]> => {
    // As Flower is measured: what an earlier run left behind is cleared away before the clock starts.
    globalThis.gc!();
    const start = performance.now();
    const { parameters } = await aggregateParameters(strategy, { global: global!, updates }, { workers: pool, ...options });
    return [(performance.now() - start) / 1000, parameters];
  };
  const anew: number[] = [];
  const into: number[] = [];
  for (let repeat = 0; repeat < job.repeats; repeat++) {
    const [seconds, earlier] = await timed({});
    anew.push(seconds);
    into.push((await timed({ into: earlier }))[0]);
  }
  return { anew: median(anew), into: median(into) };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
