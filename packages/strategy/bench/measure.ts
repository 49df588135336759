/** One measurement, in a process of its own: `node measure.ts '<json>'` prints a {@link Measurement}. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TensorSource } from '@zk0/core';
import { createSafetensors } from '@zk0/storage';
import { checkUpdate, createStrategy, WorkerPool, type AggregationInput, type ClientUpdate } from '../src/index.ts';
import { MODEL_BYTES, modelPath, openSafetensors, PlainFile, SPECS } from './files.ts';

export interface Job {
  readonly folder: string;
  readonly config: { readonly name: string };
  readonly clients: number;
  readonly workers: number;
  readonly repeats: number;
}

/** Times are those of the fastest aggregation, until the last byte is with the operating system. */
export interface Measurement {
  /** Into a plain file. */
  readonly seconds: number;
  /** Into a safetensors file that is hashed while it is written, as a server's blobs are. */
  readonly hashedSeconds: number;
  /** Of updates that nobody has checked before, into a plain file. */
  readonly uncheckedSeconds: number;
  /** One update checked on arrival, on the same threads. */
  readonly checkSeconds: number;
  /** Read and written by one aggregation of checked updates, each tensor counted once. */
  readonly bytes: number;
  readonly peakRss: number;
}

const job = JSON.parse(process.argv[2] ?? '') as Job;
const strategy = createStrategy(job.config);
const pool = new WorkerPool(job.workers);
const global = await openSafetensors(modelPath(job.folder, 0));
const files = await Promise.all(Array.from({ length: job.clients }, (_, index) => openSafetensors(modelPath(job.folder, index + 1))));
const stateSpecs = strategy.stateSpecs(SPECS);
const scratch = (name: string): string => join(job.folder, `${name}-${process.pid}`);

/** The state of a run in its second round: the usual case. */
const state = stateSpecs.length === 0 ? null : await firstRound();
const best = { seconds: Infinity, hashedSeconds: Infinity, uncheckedSeconds: Infinity, checkSeconds: Infinity };
for (let repeat = 0; repeat < job.repeats; repeat++) {
  for (const kind of ['seconds', 'hashedSeconds', 'uncheckedSeconds'] as const) best[kind] = Math.min(best[kind], await aggregate(kind, state));
  const start = performance.now();
  await checkUpdate(update(files[0]!, 0), { global, workers: pool });
  best.checkSeconds = Math.min(best.checkSeconds, (performance.now() - start) / 1000);
}
await rm(scratch('state'), { force: true });
const peakRss = process.resourceUsage().maxRSS * 1024;
await pool.close();
// Multi-Krum reads every update twice: once for the distances, then those it chose.
const passes = job.config.name === 'multikrum' ? job.clients + 1 + (job.config as { keep?: number }).keep! : job.clients;
const models = 1 + passes + 1 + 2 * (stateSpecs.length / SPECS.length);
const measurement: Measurement = { ...best, bytes: models * MODEL_BYTES, peakRss };
process.stdout.write(JSON.stringify(measurement));

async function firstRound(): Promise<TensorSource> {
  const sink = await createSafetensors(scratch('state'), stateSpecs);
  const discarded = await PlainFile.create(scratch('result'), SPECS);
  await strategy.aggregate(input(null, true), { parameters: discarded, state: sink }, { workers: pool });
  await discarded.remove();
  await sink.commit();
  return openSafetensors(scratch('state'));
}

async function aggregate(kind: 'seconds' | 'hashedSeconds' | 'uncheckedSeconds', from: AggregationInput['state']): Promise<number> {
  const isHashed = kind === 'hashedSeconds';
  const make = async (name: string, specs: typeof SPECS) =>
    isHashed ? createSafetensors(scratch(name), specs) : PlainFile.create(scratch(name), specs);
  const parameters = await make('result', SPECS);
  const newState = stateSpecs.length === 0 ? null : await make('new-state', stateSpecs);
  const start = performance.now();
  await strategy.aggregate(input(from, kind !== 'uncheckedSeconds'), { parameters, state: newState }, { workers: pool });
  const seconds = (performance.now() - start) / 1000;
  for (const sink of [parameters, newState]) await (sink instanceof PlainFile ? sink.remove() : sink?.abort());
  return seconds;
}

function input(from: AggregationInput['state'], isChecked: boolean): AggregationInput {
  const updates = files.map((tensors, index) => ({ ...update(tensors, index), ...(isChecked ? { inspection: { norm: 1 } } : {}) }));
  return { round: from === null ? 1 : 2, global, updates, state: from, scalars: from === null ? {} : { step: 1 }, seed: 1 };
}

function update(tensors: TensorSource, index: number): ClientUpdate {
  return { clientId: `client-${String(index).padStart(2, '0')}`, numExamples: 100 + index, metrics: { loss: 1 }, tensors };
}
