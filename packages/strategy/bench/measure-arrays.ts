/** FedAvg on arrays in memory, in a process of its own: `node measure-arrays.ts '<json>' <kind>` prints its seconds. */
import { elementCount, type Float32Tensor, type Parameters } from '@zk0/core';
import { aggregateParameters, createStrategy, WorkerPool } from '../src/index.ts';
import { modelPath, openSafetensors, SPECS } from './files.ts';
import type { Job } from './measure.ts';

/**
 * How the arrays lie in memory and who computes: `shared` in `SharedArrayBuffer`s, which worker threads read; `ordinary` with
 * worker threads; `alone` the same on the calling thread.
 */
export type ArrayKind = 'shared' | 'ordinary' | 'alone';

const job = JSON.parse(process.argv[2] ?? '') as Job;
const kind = process.argv[3] as ArrayKind;
const strategy = createStrategy(job.config);
const pool = kind === 'alone' ? undefined : new WorkerPool(job.workers);
process.stdout.write(JSON.stringify(await measure(kind === 'shared' ? SharedArrayBuffer : ArrayBuffer, pool ?? 0)));
await pool?.close();

/** Median of the seconds of several aggregations, result included; nothing was checked before. */
async function measure(Buffer: new (bytes: number) => ArrayBufferLike, workers: number | WorkerPool): Promise<number> {
  const models = await Promise.all(Array.from({ length: job.clients + 1 }, (_, client) => load(client, Buffer)));
  const updates = models.slice(1).map((parameters, index) => ({ clientId: `client-${index}`, parameters, numExamples: 100 + index }));
  const seconds: number[] = [];
  for (let repeat = 0; repeat < job.repeats; repeat++) {
    const start = performance.now();
    await aggregateParameters(strategy, { global: models[0]!, updates }, { workers });
    seconds.push((performance.now() - start) / 1000);
  }
  return seconds.sort((a, b) => a - b)[Math.floor(seconds.length / 2)]!;
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
