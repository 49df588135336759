/** FedAvg on arrays in memory, in a process of its own: `node measure-arrays.ts '<json>'` prints an {@link ArraysMeasurement}. */
import { elementCount, type Float32Tensor, type Parameters } from '@zk0/core';
import { aggregateParameters, createStrategy, WorkerPool } from '../src/index.ts';
import { modelPath, openSafetensors, SPECS } from './files.ts';
import type { Job } from './measure.ts';

/** Seconds of the fastest of several aggregations, result included; nothing was checked before. */
export interface ArraysMeasurement {
  /** Arrays in `SharedArrayBuffer`s, which the worker threads read. */
  readonly shared: number;
  /** Ordinary arrays, which the calling thread hands to them. */
  readonly plain: number;
  /** Ordinary arrays, no worker threads. */
  readonly inline: number;
}

const job = JSON.parse(process.argv[2] ?? '') as Job;
const strategy = createStrategy(job.config);
const pool = new WorkerPool(job.workers);
const measurement: ArraysMeasurement = {
  shared: await measure(SharedArrayBuffer, pool),
  plain: await measure(ArrayBuffer, pool),
  inline: await measure(ArrayBuffer, 0),
};
await pool.close();
process.stdout.write(JSON.stringify(measurement));

async function measure(Buffer: new (bytes: number) => ArrayBufferLike, workers: number | WorkerPool): Promise<number> {
  const models = await Promise.all(Array.from({ length: job.clients + 1 }, (_, client) => load(client, Buffer)));
  const updates = models.slice(1).map((parameters, index) => ({ clientId: `client-${index}`, parameters, numExamples: 100 + index }));
  let best = Infinity;
  for (let repeat = 0; repeat < job.repeats; repeat++) {
    const start = performance.now();
    await aggregateParameters(strategy, { global: models[0]!, updates }, { workers });
    best = Math.min(best, (performance.now() - start) / 1000);
  }
  return best;
}

async function load(client: number, Buffer: new (bytes: number) => ArrayBufferLike): Promise<Parameters> {
  const file = await openSafetensors(modelPath(job.folder, client));
  const parameters = new Map<string, Float32Tensor>();
  for (const { name, shape } of SPECS) {
    const bytes = new Uint8Array(new Buffer(elementCount(shape) * 4));
    await file.readBytes(name, 0, bytes);
    parameters.set(name, { shape, data: new Float32Array(bytes.buffer) });
  }
  await file.close();
  return parameters;
}
