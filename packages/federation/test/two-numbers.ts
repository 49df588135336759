import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { MemoryTensorSource, runConfigSchema, type Evaluation, type FitOptions, type FitResult, type JsonObject, type Parameters, type RunConfig, type RunConfigInput } from '@zk0/core';
import { openBlobStore, readParameters, type BlobStore } from '@zk0/storage';
import type { FederatedModel, LocalModel, LocalTask, RunModel } from '../src/index.ts';

export const numbers = (...values: number[]): Parameters => new Map([['w', { shape: [values.length], data: Float32Array.from(values) }]]);

/** The server's side of a model of two numbers: nothing to open, its evaluation is the first number. */
export class TwoNumbers implements FederatedModel {
  readonly saved: string[] = [];
  /** Rounds that were kept as the best so far, in order. */
  readonly best: number[] = [];
  evaluate: (path: string) => Promise<Evaluation | null> = async (path) => {
    const policyLoss = (await readParameters(path)).get('w')!.data[0]!;
    return { policyLoss, totalSamples: 1, datasets: [] };
  };

  describeClient(profile: JsonObject): { label: string; numExamples: number } {
    return { label: typeof profile['name'] === 'string' ? profile['name'] : 'nameless', numExamples: Number(profile['examples'] ?? 10) };
  }

  checkConfig(): void {
    // Every configuration will do.
  }

  openRun(): Promise<RunModel> {
    return Promise.resolve({
      trainingDefaults: { localSteps: 1, batchSize: 1, learningRate: 0.5 },
      misfit: ({ profile }) => (typeof profile['misfit'] === 'string' ? profile['misfit'] : null),
      start: () => Promise.resolve({ parameters: numbers(0, 0), context: { run: { scale: 1 } } }),
      evaluate: (path) => this.evaluate(path),
      saveCheckpoint: (path, round) => {
        this.saved.push(`${round}:${path}`);
        return Promise.resolve(`checkpoint_${round}`);
      },
      saveBest: (_path, round) => {
        this.best.push(round);
        return Promise.resolve();
      },
      close: () => Promise.resolve(),
    });
  }
}

/** The client's side: moves the numbers towards its own. */
export function localModel(name: string, target: readonly number[], more: Partial<LocalModel> & { readonly profile?: () => JsonObject } = {}): LocalModel {
  return {
    profile: () => ({ name, examples: 10 }),
    fit: (task, global) => Promise.resolve(fitTwoNumbers(task, global, target)),
    ...more,
  };
}

export function fitTwoNumbers({ fit }: LocalTask, global: Parameters, target: readonly number[]): FitResult {
  const data = global.get('w')!.data.map((value, index) => value + fit.learningRate * (target[index]! - value));
  return { parameters: new Map([['w', { shape: [data.length], data }]]), numExamples: 10, metrics: { loss: Math.abs(data[0]! - target[0]!) } };
}

/** The same with momentum, which goes on from round to round where a run keeps it, and with SCAFFOLD's correction where there is one. */
export async function fitWithMomentum(task: LocalTask, global: Parameters, target: readonly number[], { optimizer, correction }: FitOptions): Promise<FitResult> {
  if (optimizer === undefined) return fitTwoNumbers(task, global, target);
  const { learningRate } = task.fit;
  const before = optimizer.state === null ? null : await readParameters(optimizer.state.moments);
  const corrections = correction === undefined ? undefined : (await readParameters(correction)).get('w')!.data;
  const own = global.get('w')!.data.map((value, index) => value - target[index]!);
  const gradients = own.map((value, index) => value + (corrections?.[index] ?? 0));
  const running = (name: string, values: Float32Array): Float32Array =>
    values.map((value, index) => 0.5 * (before?.get(name)?.data[index] ?? 0) + value);
  const [first, second] = [running('first_moment/w', gradients), running('second_moment/w', gradients.map((value) => value * value))];
  const stepsTaken = (optimizer.state?.stepsTaken ?? 0) + 1;
  const shape = [gradients.length];
  await optimizer.keep({
    stepsTaken,
    moments: MemoryTensorSource.fromParameters(new Map([['first_moment/w', { shape, data: first }], ['second_moment/w', { shape, data: second }]])),
  });
  const meanGradient: Parameters = new Map([['w', { shape, data: own }]]);
  const data = global.get('w')!.data.map((value, index) => value - (learningRate * first[index]!) / (1 + stepsTaken + Math.sqrt(second[index]!)));
  const metrics = { loss: Math.abs(data[0]! - target[0]!) };
  return { parameters: new Map([['w', { shape, data }]]), numExamples: 10, metrics, ...(correction !== undefined && { meanGradient }) };
}

export const config = (input: RunConfigInput): RunConfig => runConfigSchema.parse({ strategy: { name: 'fedavg' }, ...input });

/** Memory where the system offers it as files: thousands of forced writes to a disk would be most of a test's time. */
const base = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** A scratch folder with blob stores in it. */
export class Scratch {
  readonly path = mkdtempSync(join(base, 'zk0-federation-'));

  blobs(name: string): Promise<BlobStore> {
    return openBlobStore(join(this.path, name));
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Waits until something is so. */
export async function until(condition: () => boolean | Promise<boolean>, what: string, ms = 20_000): Promise<void> {
  const end = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await wait(2);
  }
}
