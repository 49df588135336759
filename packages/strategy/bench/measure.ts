/** One measurement, in a process of its own: `node measure.ts '<json>'` prints a {@link Measurement}. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createSafetensors } from '@zk0/storage';
import { createStrategy, WorkerPool, type AggregationInput, type ClientUpdate } from '../src/index.ts';
import { MODEL_BYTES, modelPath, openSafetensors, SPECS } from './files.ts';

interface Job {
  readonly folder: string;
  readonly config: { readonly name: string };
  readonly clients: number;
  readonly workers: number;
  readonly repeats: number;
}

export interface Measurement {
  /** The fastest aggregation of updates that were checked on arrival, until the last byte is with the operating system. */
  readonly seconds: number;
  /** The same, with every update checked (read once more) first. */
  readonly checkedSeconds: number;
  /** Forcing the result to disk and giving it its name, after that. */
  readonly commitSeconds: number;
  /** Read and written by one aggregation without checks. */
  readonly bytes: number;
  readonly peakRss: number;
}

const job = JSON.parse(process.argv[2] ?? '') as Job;
const strategy = createStrategy(job.config);
const pool = new WorkerPool(job.workers);
const global = await openSafetensors(modelPath(job.folder, 0));
const files = await Promise.all(Array.from({ length: job.clients }, (_, index) => openSafetensors(modelPath(job.folder, index + 1))));
const stateSpecs = strategy.stateSpecs(SPECS);
const statePath = join(job.folder, `state-${job.config.name}-${process.pid}`);

/** The state of a run in its second round: the usual case. */
const before = stateSpecs.length === 0 ? null : await firstRound();
let read = 0;
for (const file of [global, ...files, ...(before === null ? [] : [before])]) {
  const readBytes = file.readBytes.bind(file);
  file.readBytes = (name, offset, into) => {
    read += into.byteLength;
    return readBytes(name, offset, into);
  };
}

let seconds = Infinity;
let commitSeconds = Infinity;
let bytes = 0;
for (let repeat = 0; repeat < job.repeats; repeat++) {
  read = 0;
  const [aggregation, commit] = await aggregate(false, before);
  seconds = Math.min(seconds, aggregation);
  commitSeconds = Math.min(commitSeconds, commit);
  bytes = read + MODEL_BYTES * (1 + stateSpecs.length / SPECS.length);
}
const [checkedSeconds] = await aggregate(true, before);
await rm(statePath, { force: true });
const peakRss = process.resourceUsage().maxRSS * 1024;
await pool.close();
const measurement: Measurement = { seconds, checkedSeconds, commitSeconds, bytes, peakRss };
process.stdout.write(JSON.stringify(measurement));

async function firstRound(): Promise<Awaited<ReturnType<typeof openSafetensors>>> {
  await aggregate(false, null, statePath);
  return openSafetensors(statePath);
}

async function aggregate(check: boolean, state: AggregationInput['state'], keepState?: string): Promise<[number, number]> {
  const parametersPath = join(job.folder, `result-${process.pid}`);
  const parameters = await createSafetensors(parametersPath, SPECS);
  const temporaryState = join(job.folder, `new-state-${process.pid}`);
  const newState = stateSpecs.length === 0 ? null : await createSafetensors(keepState ?? temporaryState, stateSpecs);
  const updates = files.map((tensors, index): ClientUpdate => ({
    clientId: `client-${String(index).padStart(2, '0')}`,
    numExamples: 100 + index,
    metrics: { loss: 1 },
    tensors,
    ...(check ? {} : { inspection: { norm: 1 } }),
  }));
  const start = performance.now();
  await strategy.aggregate(
    { round: state === null ? 1 : 2, global, updates, state, scalars: state === null ? {} : { step: 1 }, seed: 1 },
    { parameters, state: newState },
    { workers: pool },
  );
  const aggregated = performance.now();
  await parameters.commit();
  await newState?.commit();
  const committed = performance.now();
  await rm(parametersPath);
  await rm(temporaryState, { force: true });
  return [(aggregated - start) / 1000, (committed - aggregated) / 1000];
}
