/**
 * One part of the verification in a process of its own: its memory is its own, and a crash or a full card ends nothing else.
 * `main.ts` starts it; it prints one line of JSON.
 */
import { openPolicy, verifyDevice, type CacheMode, type OpenPolicyOptions, type SmolVlaPolicy } from '@zk0/policy-smolvla';
import { normalizerOf, syntheticDataset } from '../../packages/policy-smolvla/test/synthetic-dataset.ts';
import type { Parameters } from '@zk0/core';

/** What is measured. */
export type Part =
  | { readonly kind: 'graphs' }
  | { readonly kind: 'same training'; readonly steps: number; readonly batch: number }
  | { readonly kind: 'steps'; readonly cache: Exclude<CacheMode, 'auto'>; readonly batch: number; readonly steps: number }
  | { readonly kind: 'encode'; readonly cache: 'prefix' | 'vision'; readonly frames: number }
  | { readonly kind: 'act'; readonly runs: number };

/** On what, and with what. */
export interface Setting {
  readonly checkpoint: string;
  readonly cacheDirectory: string;
  readonly device: string;
  readonly precision: string;
  readonly threads?: number;
}

/** Figures of a part by name, each a number; and rows of comparisons. */
export interface Found {
  readonly device: string;
  readonly precision: string;
  readonly figures: Readonly<Record<string, number>>;
  readonly comparisons?: readonly { readonly what: string; readonly difference: number; readonly allowed: number }[];
  /** Peak of this process's memory, in bytes. */
  readonly hostPeakBytes: number;
}

const CAMERAS = ['observation.images.top', 'observation.images.wrist'];
const SEED = 'verify';
const ENCODED = 2;
/** A device's losses of the same training may differ so much from the processor's, relatively: rounding grows with steps. */
const LOSS_TOLERANCE = { float32: 1e-3, float16: 3e-2, bfloat16: 1e-1 } as const;
/** And the way of the weights: AdamW turns what is rounding in a small gradient into a visible part of its step. */
const WAY_TOLERANCE = { float32: 5e-2, float16: 0.5, bfloat16: 0.8 } as const;

/** Recordings of different seeds share no cached frames. */
function recording(frames: number, seed = 1): ReturnType<typeof syntheticDataset> {
  return syntheticDataset({ seed, episodes: 1, framesPerEpisode: frames, width: 640, height: 480, cameras: CAMERAS });
}

function open({ checkpoint, ...options }: Setting, changes: OpenPolicyOptions = {}): Promise<SmolVlaPolicy> {
  return openPolicy(checkpoint, { ...options, features: { stateSize: 6, actionSize: 6, cameras: CAMERAS }, ...changes });
}

interface Training {
  readonly cache: Exclude<CacheMode, 'auto'>;
  readonly batch: number;
  readonly steps: number;
}

/** Two rounds of the same length, the first of which pays for caching and for making the sessions. */
async function train(policy: SmolVlaPolicy, { cache, batch, steps }: Training): Promise<{ firstSeconds: number; seconds: number; losses: number[]; moved: Parameters; from: Parameters }> {
  const dataset = recording(batch);
  const learner = policy.learner(dataset, { normalizer: normalizerOf(dataset), cache, cacheBudgetBytes: 1e12 });
  const from = await policy.initialParameters();
  const losses: number[] = [];
  const fit = async (localSteps: number, record: boolean): Promise<{ seconds: number; moved: Parameters }> => {
    const begun = performance.now();
    const instructions = { round: 1, seed: SEED, batchSize: batch, localSteps, learningRate: 1e-4, proximalMu: 0 };
    const { parameters } = await learner.fit(from, instructions, {
      onProgress: ({ phase, loss }) => {
        if (record && phase === 'training' && loss !== undefined) losses.push(loss);
      },
    });
    return { seconds: (performance.now() - begun) / 1000, moved: parameters };
  };
  const first = await fit(steps, false);
  const second = await fit(steps, true);
  await learner.close();
  return { firstSeconds: first.seconds, seconds: second.seconds / steps, losses, moved: second.moved, from };
}

async function graphs({ device, precision, cacheDirectory, threads }: Setting): Promise<Found> {
  const found = await verifyDevice({ device, precision, cacheDirectory, ...(threads !== undefined && { threads }) });
  return {
    device: found.device,
    precision: found.precision,
    figures: Object.fromEntries(found.parts.flatMap(({ part, seconds, processorSeconds }) => [[`${part}, s`, seconds], [`${part} on the processor, s`, processorSeconds]])),
    comparisons: found.parts.map(({ part, difference, tolerance }) => ({ what: part, difference, allowed: tolerance })),
    hostPeakBytes: peakBytes(),
  };
}

/** The same steps on the device and on the processor, which has float32. */
async function sameTraining(setting: Setting, training: Omit<Training, 'cache'>): Promise<Found> {
  const here = await open(setting);
  const found = await train(here, { ...training, cache: 'prefix' });
  const { device, precision } = here;
  await here.close();
  const processor = await open(setting, { device: 'cpu', precision: 'float32' });
  const expected = await train(processor, { ...training, cache: 'prefix' });
  await processor.close();
  const worst = Math.max(...expected.losses.map((loss, step) => Math.abs(found.losses[step]! - loss) / Math.abs(loss)));
  return {
    device,
    precision,
    figures: {
      'first loss': found.losses[0]!,
      'last loss': found.losses.at(-1)!,
      'last loss on the processor': expected.losses.at(-1)!,
      'seconds a step': found.seconds,
      'seconds a step on the processor': expected.seconds,
    },
    comparisons: [
      { what: `losses of ${training.steps} steps, the largest difference`, difference: found.losses.length === expected.losses.length ? worst : NaN, allowed: LOSS_TOLERANCE[precision as keyof typeof LOSS_TOLERANCE] },
      { what: 'the way that the weights went', difference: wayApart(found, expected), allowed: WAY_TOLERANCE[precision as keyof typeof WAY_TOLERANCE] },
    ],
    hostPeakBytes: peakBytes(),
  };
}

/** ‖difference of two ways‖ / ‖the second way‖. AdamW divides gradients by their size, so rounding of those near 0 shows. */
function wayApart(one: { moved: Parameters; from: Parameters }, other: { moved: Parameters }): number {
  let [difference, size] = [0, 0];
  for (const [name, { data }] of other.moved) {
    const [mine, start] = [one.moved.get(name)!.data, one.from.get(name)!.data];
    for (let at = 0; at < data.length; at++) {
      difference += (mine[at]! - data[at]!) ** 2;
      size += (data[at]! - start[at]!) ** 2;
    }
  }
  return Math.sqrt(difference / size);
}

async function steps(setting: Setting, training: Training): Promise<Found> {
  const policy = await open(setting);
  const { seconds, firstSeconds, losses } = await train(policy, training);
  const { device, precision } = policy;
  await policy.close();
  if (!losses.every(Number.isFinite)) throw new Error(`losses that are not finite: ${losses.join(', ')}`);
  return { device, precision, figures: { 'seconds a step': seconds, 'samples a second': training.batch / seconds, 'seconds of the first round': firstSeconds }, hostPeakBytes: peakBytes() };
}

async function encode(setting: Setting, cache: 'prefix' | 'vision', frames: number): Promise<Found> {
  const dataset = recording(frames + 1, ENCODED);
  const policy = await open(setting);
  const learner = policy.learner(dataset, { normalizer: normalizerOf(dataset), cache, cacheBudgetBytes: 1e12 });
  const ends: { readonly at: number; readonly frames: number }[] = [];
  // The first frame pays for making the sessions.
  await learner.evaluate(await policy.initialParameters(), { seed: SEED, batches: 1, batchSize: 1 }, {});
  const begun = performance.now();
  await learner.evaluate(await policy.initialParameters(), { seed: SEED, batches: 0, batchSize: frames }, {
    onProgress: ({ phase, step }) => {
      if (phase === 'caching') ends.push({ at: performance.now(), frames: step });
    },
  });
  const [first, last] = [ends[0], ends.at(-1)];
  const { device, precision } = policy;
  await learner.close();
  await policy.close();
  if (last === undefined) throw new Error('no frame was cached');
  const measured = first === undefined || first === last ? last.frames / ((last.at - begun) / 1000) : (last.frames - first.frames) / ((last.at - first.at) / 1000);
  return { device, precision, figures: { 'frames a second': measured }, hostPeakBytes: peakBytes() };
}

async function act(setting: Setting, runs: number): Promise<Found> {
  const dataset = recording(1);
  const policy = await open(setting);
  const actor = await policy.actor({ normalizer: normalizerOf(dataset) });
  const images = await dataset.images(0, CAMERAS);
  const observation = { state: dataset.state(0), images: Object.fromEntries(CAMERAS.map((key, index) => [key, images[index]!])), task: dataset.task(0) };
  const times: number[] = [];
  for (let run = 0; run <= runs; run++) {
    const begun = performance.now();
    await actor.act(observation, { seed: SEED });
    times.push((performance.now() - begun) / 1000);
  }
  const { device, precision } = policy;
  await actor.close();
  await policy.close();
  const sorted = times.slice(1).sort((a, b) => a - b);
  return { device, precision, figures: { 'seconds a chunk': sorted[Math.floor(sorted.length / 2)]!, 'seconds of the first': times[0]! }, hostPeakBytes: peakBytes() };
}

function peakBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}

function find(part: Part, setting: Setting): Promise<Found> {
  switch (part.kind) {
    case 'graphs':
      return graphs(setting);
    case 'same training':
      return sameTraining(setting, part);
    case 'steps':
      return steps(setting, part);
    case 'encode':
      return encode(setting, part.cache, part.frames);
    case 'act':
      return act(setting, part.runs);
  }
}

const [part, setting] = process.argv.slice(2) as [string, string];
process.stdout.write(`${JSON.stringify(await find(JSON.parse(part) as Part, JSON.parse(setting) as Setting))}\n`);
