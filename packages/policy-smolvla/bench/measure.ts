/**
 * One measurement in a process of its own, so that its peak memory is its own. Started by `policy.ts`; prints one line of JSON.
 */
import { Optimizer, sharedTensor } from '@zk0/onnx-train';
import { openPolicy, type CacheMode, type SmolVlaPolicy } from '../src/index.ts';
import { normalizerOf, syntheticDataset } from '../test/synthetic-dataset.ts';
import { measureProductRate } from '../src/cost/product-rate.ts';
import { workOf, type Work } from '../src/cost/work.ts';
import { median } from './median.ts';

/** What `policy.ts` asks for. */
export type What = 'machine' | 'fill vision' | 'fill prefix' | 'step prefix' | 'step vision' | 'step off' | 'act';

/** How it is measured. */
export interface Setting {
  readonly checkpoint: string;
  readonly cacheDirectory: string;
  readonly threads: number;
  readonly batch: number;
  readonly runs: number;
}

/** What comes back. */
export interface Measured {
  /** Median of the runs, or of one frame when a cache is filled. */
  readonly seconds: number;
  readonly peakBytes: number;
  /** From opening the checkpoint to the end of the first run, less one median run. */
  readonly loadSeconds?: number;
  readonly work?: Work;
  readonly trainedValues?: number;
  readonly matmulGflops?: number;
  readonly optimizerSeconds?: number;
}

const CAMERAS = ['observation.images.top', 'observation.images.wrist'];

/** As many frames as a batch has samples, so that a cache of all of them is filled quickly. */
function recording(batch: number): ReturnType<typeof syntheticDataset> {
  return syntheticDataset({ episodes: 1, framesPerEpisode: batch, width: 640, height: 480, cameras: CAMERAS });
}

async function measureLearner(setting: Setting, tier: Exclude<CacheMode, 'auto'>, fillOnly: boolean): Promise<Measured> {
  const begun = performance.now();
  const dataset = recording(setting.batch);
  const policy = await open(setting);
  const parameters = await policy.initialParameters();
  const learner = policy.learner(dataset, { normalizer: normalizerOf(dataset), cache: tier, cacheBudgetBytes: 1e12 });
  const times: number[] = [];
  let framesARun = 1;
  let peak = 0;
  const hooks = {
    onProgress: ({ phase, step }: { phase: string; step: number }): void => {
      if (phase !== (fillOnly ? 'caching' : 'training')) return;
      if (fillOnly) framesARun = step / (times.length + 1);
      times.push(performance.now());
      peak = peakBytes();
    },
  };
  const localSteps = fillOnly ? 1 : setting.runs + 1;
  const instructions = { round: 1, seed: 'bench', batchSize: setting.batch, localSteps, learningRate: 1e-4, proximalMu: 0 };
  if (fillOnly) await learner.evaluate(parameters, { seed: 'bench', batches: 1, batchSize: setting.batch }, hooks);
  else await learner.fit(parameters, instructions, hooks);
  const result = measured(policy, begun, times);
  await learner.close();
  await policy.close();
  return fillOnly ? { ...result, seconds: result.seconds / framesARun, peakBytes: peak } : result;
}

async function measureActing(setting: Setting): Promise<Measured> {
  const begun = performance.now();
  const dataset = recording(1);
  const policy = await open(setting);
  const actor = await policy.actor({ normalizer: normalizerOf(dataset) });
  const images = await dataset.images(0, CAMERAS);
  const observation = {
    state: dataset.state(0),
    images: Object.fromEntries(CAMERAS.map((key, index) => [key, images[index]!])),
    task: dataset.task(0),
  };
  const times: number[] = [];
  for (let run = 0; run <= setting.runs; run++) {
    await actor.act(observation, { seed: 'bench' });
    times.push(performance.now());
  }
  const result = measured(policy, begun, times);
  await actor.close();
  await policy.close();
  return result;
}

function open({ checkpoint, cacheDirectory, threads }: Setting): Promise<SmolVlaPolicy> {
  return openPolicy(checkpoint, { device: 'cpu', threads, cacheDirectory, features: { stateSize: 6, actionSize: 6, cameras: CAMERAS } });
}

/** From when every run ended, the first of which pays for making the sessions. */
function measured(policy: SmolVlaPolicy, begun: number, ends: readonly number[]): Measured {
  const seconds = median(ends.slice(1).map((end, index) => (end - ends[index]!) / 1000));
  const language = 18;
  return {
    seconds,
    peakBytes: peakBytes(),
    loadSeconds: (ends[0]! - begun) / 1000 - seconds,
    work: workOf(policy.config.model, CAMERAS.length, language),
    trainedValues: policy.parameterSpecs.reduce((sum, { shape }) => sum + shape.reduce((product, axis) => product * axis, 1), 0),
  };
}

/** The best rate of onnxruntime's matrix product here, and AdamW with clipping over 100 M weights. */
async function measureMachine({ threads, runs }: Setting): Promise<Measured> {
  const rates: number[] = [];
  for (const [rows, inner, columns] of [[1024, 768, 3072], [2048, 1024, 2048], [400, 720, 2048]] as const) {
    rates.push((await measureProductRate([rows, inner, columns], threads, 15)) / 1e9);
  }
  const tensors = 100;
  const memory = (): Record<string, Float32Array> =>
    Object.fromEntries(
      Array.from({ length: tensors }, (_, index) => {
        const data = sharedTensor('float32', [1e6]).data as Float32Array;
        return [`w${index}`, data.fill(0.01 * (index + 1))];
      }),
    );
  const optimizer = new Optimizer({ rule: { kind: 'adamw' }, weights: memory(), gradients: memory(), maxGradientNorm: 10, threads });
  const seconds = await timed(2 * runs + 1, () => optimizer.step(1e-4));
  await optimizer.close();
  return { seconds: 0, peakBytes: peakBytes(), matmulGflops: Math.max(...rates), optimizerSeconds: seconds };
}

/** Median seconds of some runs behind a first one. */
async function timed(runs: number, work: () => Promise<unknown>): Promise<number> {
  await work();
  const times: number[] = [];
  for (let run = 0; run < runs; run++) {
    const begun = performance.now();
    await work();
    times.push((performance.now() - begun) / 1000);
  }
  return median(times);
}

function peakBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}

function measure(what: What, setting: Setting): Promise<Measured> {
  const [kind, tier] = what.split(' ') as [string, 'prefix' | 'vision' | 'off'];
  if (kind === 'machine') return measureMachine(setting);
  if (kind === 'act') return measureActing(setting);
  return measureLearner(setting, tier, kind === 'fill');
}

const [what, setting] = process.argv.slice(2) as [What, string];
process.stdout.write(`${JSON.stringify(await measure(what, JSON.parse(setting) as Setting))}\n`);
