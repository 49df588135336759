import { cp, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashParameters, MemoryTensorSource, type FitInstructions, type Learner, type OptimizerState, type Parameters } from '@zk0/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { relativeError } from '../../test/golden-files.ts';
import { keptOptimizer, valuesOf, type TestOptimizer } from '../../test/kept-optimizer.ts';
import { normalizerOf, syntheticDataset, type SyntheticOptions } from '../../test/synthetic-dataset.ts';
import { openTinyPolicy, TINY_FEATURES, type TinyPolicy } from '../../test/tiny-policy.ts';
import { NotFiniteError } from '../errors.ts';
import { openPolicy } from '../open-policy.ts';
import type { LearnerOptions, SmolVlaPolicy } from '../policy.ts';

const instructions: FitInstructions = {
  round: 1,
  seed: 'fit',
  localSteps: 4,
  batchSize: 4,
  learningRate: 5e-3,
  proximalMu: 0.01,
};

let tiny: TinyPolicy;
let policy: SmolVlaPolicy;
let initial: Parameters;

beforeAll(async () => {
  tiny = await openTinyPolicy();
  ({ policy, initial } = tiny);
});
afterAll(() => tiny.close());

function learnerOf(options: SyntheticOptions = {}, more: Partial<LearnerOptions> = {}): Learner {
  const dataset = syntheticDataset(options);
  return policy.learner(dataset, { normalizer: normalizerOf(dataset), cache: 'off', ...more });
}

describe('training', () => {
  it('learns: the policy loss on fixed samples falls clearly', async () => {
    const learner = learnerOf();
    const samples = { seed: 'held-out', batches: 8, batchSize: 8 };
    const before = await learner.evaluate(initial, samples);
    const { parameters, metrics } = await learner.fit(initial, { ...instructions, localSteps: 60, batchSize: 8, proximalMu: 0 });
    const after = await learner.evaluate(parameters, samples);
    expect(after.loss).toBeLessThan(0.6 * before.loss);
    expect(metrics).toMatchObject({ num_steps: 60, num_examples: 120, fedprox_loss: 0, lr: 5e-3, mu: 0 });
    for (const value of Object.values(metrics)) expect(Number.isFinite(value)).toBe(true);
  });

  it('repeats to the byte with the same seed, and differs with another', async () => {
    const hashes = [];
    for (const seed of ['a', 'a', 'b']) {
      const { parameters } = await learnerOf().fit(initial, { ...instructions, seed });
      hashes.push(hashParameters(parameters));
    }
    expect(hashes[1]).toBe(hashes[0]);
    expect(hashes[2]).not.toBe(hashes[0]);
  });

  it('leaves the weights it was given as they were', async () => {
    const before = hashParameters(initial);
    const { parameters } = await learnerOf().fit(initial, instructions);
    expect(hashParameters(initial)).toBe(before);
    expect(hashParameters(parameters)).not.toBe(before);
  });

  it('stays closer to the global weights the larger μ is', async () => {
    const moved = [];
    for (const proximalMu of [0, 100]) {
      const { metrics } = await learnerOf().fit(initial, { ...instructions, localSteps: 12, proximalMu });
      moved.push(metrics['param_update_norm']!);
    }
    expect(moved[1]).toBeLessThan(0.9 * moved[0]!);
  });

  it('finds the mean of its own gradients, whatever they are corrected by', async () => {
    const one = { ...instructions, localSteps: 1, proximalMu: 0 };
    const scaled = (factor: number): MemoryTensorSource =>
      MemoryTensorSource.fromParameters(new Map([...initial].map(([name, { shape, data }]) => [name, { shape, data: data.map((value) => factor * value) }])));
    const [plain, corrected] = [await learnerOf().fit(initial, one, { correction: scaled(0) }), await learnerOf().fit(initial, one, { correction: scaled(1) })];
    expect(hashParameters(plain.parameters)).toBe(hashParameters((await learnerOf().fit(initial, one)).parameters));
    expect(hashParameters(corrected.parameters)).not.toBe(hashParameters(plain.parameters));
    const gradient = [...plain.meanGradient!.values()].flatMap(({ data }) => [...data]);
    expect(Math.hypot(...gradient)).toBeCloseTo(plain.metrics['grad_norm']!, 3);
    expect(hashParameters(corrected.meanGradient!)).toBe(hashParameters(plain.meanGradient!));
    await expect(learnerOf().fit(initial, one, { correction: scaled(NaN) })).rejects.toThrow(/correction: model\..* is not finite/);
    const misfit = MemoryTensorSource.fromParameters(new Map([...initial].slice(1)));
    await expect(learnerOf().fit(initial, one, { correction: misfit })).rejects.toThrow(/missing model\./);
  });

  it('changes nothing by keeping moments, and goes on from kept ones to other bytes than from none, the same each time', async () => {
    const first = keptOptimizer(null);
    const { parameters } = await learnerOf().fit(initial, instructions, { optimizer: first });
    expect(hashParameters(parameters)).toBe(hashParameters((await learnerOf().fit(initial, instructions)).parameters));
    const second = async (state: OptimizerState | null): Promise<string> =>
      hashParameters((await learnerOf().fit(parameters, instructions, { optimizer: keptOptimizer(state) })).parameters);
    const [kept, again, anew] = [await second(first.after!), await second(first.after!), await second(null)];
    expect(again).toBe(kept);
    expect(anew).not.toBe(kept);
  });

  it('has AdamW’s moments after a round, and makes its next step from them with the correction for all steps', async () => {
    const one = { ...instructions, localSteps: 1, proximalMu: 0 };
    const zero = MemoryTensorSource.fromParameters(new Map([...initial].map(([name, { shape, data }]) => [name, { shape, data: data.map(() => 0) }])));
    const first = keptOptimizer(null);
    const { meanGradient, metrics } = await learnerOf().fit(initial, one, { optimizer: first, correction: zero });
    const clip = Math.min(1, 10 / metrics['grad_norm']!);
    const gradient = (await valuesOf(MemoryTensorSource.fromParameters(meanGradient!))).map((value) => clip * value);
    const after = async ({ after: state }: TestOptimizer): Promise<readonly [Float32Array, Float32Array]> => {
      const moments = await valuesOf(state!.moments);
      return [moments.subarray(0, gradient.length), moments.subarray(gradient.length)];
    };
    const [m1, v1] = await after(first);
    expect(relativeError(m1, gradient.map((value) => 0.1 * value))).toBeLessThan(1e-5);
    expect(relativeError(v1, gradient.map((value) => 0.05 * value ** 2))).toBeLessThan(1e-5);
    // Another step from the same weights has the same gradient.
    const second = keptOptimizer(first.after!);
    const { parameters } = await learnerOf().fit(initial, one, { optimizer: second });
    expect([first.after!.stepsTaken, second.after!.stepsTaken]).toEqual([1, 2]);
    const [m2, v2] = await after(second);
    expect(relativeError(m2, gradient.map((value) => 0.19 * value))).toBeLessThan(1e-5);
    const steps = m2.map((value, index) => (-one.learningRate * value) / (1 - 0.9 ** 2) / (Math.sqrt(v2[index]! / (1 - 0.95 ** 2)) + 1e-8));
    const [before, now] = [await valuesOf(MemoryTensorSource.fromParameters(initial)), await valuesOf(MemoryTensorSource.fromParameters(parameters))];
    expect(relativeError(now.map((value, index) => value - before[index]!), steps)).toBeLessThan(1e-3);
  });

  it('refuses moments of other tensors, of no number of steps, and such as are not finite, by name', async () => {
    const optimizer = keptOptimizer(null);
    await learnerOf().fit(initial, instructions, { optimizer });
    const { moments } = optimizer.after!;
    const of = (state: OptimizerState): Promise<unknown> => learnerOf().fit(initial, instructions, { optimizer: { state, keep: () => Promise.resolve() } });
    const all = moments.specs.map((spec) => ({ ...spec, data: moments.locate(spec.name).bytes }));
    await expect(of({ stepsTaken: 1, moments: new MemoryTensorSource(all.slice(1)) })).rejects.toMatchObject({ code: 'POLICY_TENSORS_MISMATCH' });
    await expect(of({ stepsTaken: 0.5, moments })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    const poisoned = all.map((tensor, index) => (index === 0 ? { ...tensor, data: new Uint8Array(tensor.data.length).fill(255) } : tensor));
    await expect(of({ stepsTaken: 1, moments: new MemoryTensorSource(poisoned) })).rejects.toThrow(`the optimiser’s state: ${all[0]!.name} is not finite`);
  });

  it('takes a round with a learning rate of 0, where a schedule may end: the weights stay, all else is as ever', async () => {
    const still = { ...instructions, learningRate: 0 };
    const plain = await learnerOf().fit(initial, still);
    expect(hashParameters(plain.parameters)).toBe(hashParameters(initial));
    expect(plain.metrics).toMatchObject({ lr: 0, param_update_norm: 0, num_steps: 4 });
    expect(plain.metrics['grad_norm']).toBeGreaterThan(0);
    for (const value of Object.values(plain.metrics)) expect(Number.isFinite(value)).toBe(true);
    const zero = MemoryTensorSource.fromParameters(new Map([...initial].map(([name, { shape, data }]) => [name, { shape, data: data.map(() => 0) }])));
    const one = { ...still, localSteps: 1, proximalMu: 0 };
    const corrected = await learnerOf().fit(initial, one, { correction: zero });
    expect(hashParameters(corrected.parameters)).toBe(hashParameters(initial));
    const gradient = [...corrected.meanGradient!.values()].flatMap(({ data }) => [...data]);
    expect(Math.hypot(...gradient)).toBeCloseTo(corrected.metrics['grad_norm']!, 3);
  });

  it('reports every step and stops between steps when asked to', async () => {
    const controller = new AbortController();
    const steps: number[] = [];
    const running = learnerOf().fit(initial, { ...instructions, localSteps: 50 }, {
      signal: controller.signal,
      onProgress: ({ phase, step, totalSteps }) => {
        expect([phase, totalSteps]).toEqual(['training', 50]);
        steps.push(step);
        if (step === 3) controller.abort();
      },
    });
    await expect(running).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(steps).toEqual([1, 2, 3]);
  });

  it('names step and tensor when the loss is not finite, and keeps the last good weights', async () => {
    const [name, { shape, data }] = [...initial].find(([key]) => key.endsWith('action_out_proj.weight'))!;
    const broken: Parameters = new Map([...initial, [name, { shape, data: data.map(() => NaN) }]]);
    const failure = await learnerOf().fit(broken, instructions).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(NotFiniteError);
    expect(failure).toMatchObject({ code: 'NOT_FINITE', step: 0, tensor: 'loss' });
    expect(hashParameters((failure as NotFiniteError).lastGood)).toBe(hashParameters(broken));
    const evaluation = learnerOf().evaluate(broken, { seed: 'e', batches: 1, batchSize: 2 });
    await expect(evaluation).rejects.toThrow('evaluation batch 0: the loss is not finite');
  });

  it('names dataset, axis and frame of a value that is not finite', async () => {
    const dataset = syntheticDataset();
    const poisoned = { ...dataset, state: (frame: number) => dataset.state(frame).fill(NaN, 2, 3) };
    const learner = policy.learner(poisoned, { normalizer: normalizerOf(dataset), cache: 'off' });
    await expect(learner.fit(initial, instructions)).rejects.toThrow(/synthetic: observation\.state joint_2 is NaN at or after frame \d+/);
  });

  it.each([{ localSteps: 0 }, { batchSize: 1.5 }, { learningRate: -1e-9 }, { learningRate: NaN }, { proximalMu: -1 }])('refuses %o', async (wrong) => {
    await expect(learnerOf().fit(initial, { ...instructions, ...wrong })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('lists every tensor that does not belong', async () => {
    const parameters: Parameters = new Map([...initial].slice(1).concat([['stranger', { shape: [1], data: new Float32Array(1) }]]));
    await expect(learnerOf().fit(parameters, instructions)).rejects.toThrow(/missing model\..*not trained here: stranger/);
  });
});

describe('other architectures', () => {
  /** The tiny policy with some fields of config.json changed. */
  async function variant(edit: Record<string, unknown>): Promise<SmolVlaPolicy> {
    const directory = await mkdtemp(join(tiny.workspace.root, 'variant-'));
    await cp(tiny.workspace.checkpoint, directory, { recursive: true });
    const path = join(directory, 'config.json');
    await writeFile(path, JSON.stringify({ ...(JSON.parse(await readFile(path, 'utf8')) as object), ...edit }));
    return openPolicy(directory, { device: 'cpu', threads: 1, features: TINY_FEATURES, cacheDirectory: tiny.workspace.root });
  }

  it('train the vision-language model too, from images', async () => {
    const whole = await variant({ train_expert_only: false, freeze_vision_encoder: false });
    const dataset = syntheticDataset();
    const normalizer = normalizerOf(dataset);
    expect(whole.parameterSpecs.length).toBeGreaterThan(policy.parameterSpecs.length);
    const start = await whole.initialParameters();
    const learner = whole.learner(dataset, { normalizer });
    const { parameters } = await learner.fit(start, { ...instructions, localSteps: 2 });
    const samples = { seed: 's', batches: 1, batchSize: 2 };
    const [before, after] = [await learner.evaluate(start, samples), await learner.evaluate(parameters, samples)];
    expect(after.loss).not.toBe(before.loss);
    const patches = [...parameters].find(([name]) => name.includes('patch_embedding.weight'))!;
    expect(patches[1].data).not.toEqual(start.get(patches[0])!.data);
    const actor = await whole.actor({ parameters, normalizer });
    const [image] = await dataset.images(0, TINY_FEATURES.cameras);
    const images = Object.fromEntries(TINY_FEATURES.cameras.map((key) => [key, image!]));
    const { actions } = await actor.act({ state: dataset.state(0), images, task: 'reach' }, { seed: 'act' });
    expect(actions.every(Number.isFinite)).toBe(true);
    await learner.close();
    const cached = whole.learner(dataset, { normalizer, cache: 'prefix' });
    await expect(cached.evaluate(start, samples)).rejects.toMatchObject({ code: 'POLICY_UNSUPPORTED' });
    await whole.close();
  });

  it('do without a camera where an empty one may stand in', async () => {
    const lenient = await variant({ empty_cameras: 1 });
    const dataset = syntheticDataset({ cameras: ['observation.images.wrist'] });
    const learner = lenient.learner(dataset, { normalizer: normalizerOf(dataset), cache: 'prefix' });
    const { loss } = await learner.evaluate(initial, { seed: 's', batches: 1, batchSize: 2 });
    expect(loss).toBeGreaterThan(0);
    await learner.close();
    await lenient.close();
  });
});

describe('evaluation', () => {
  it('covers the whole dataset once for 0 batches, whatever the batch size', async () => {
    const learner = learnerOf({ episodes: 1, framesPerEpisode: 7 });
    const whole = await learner.evaluate(initial, { seed: 's', batches: 0, batchSize: 4 });
    expect(whole.numExamples).toBe(7);
    expect(whole.metrics).toMatchObject({ num_steps: 2 });
    const again = await learner.evaluate(initial, { seed: 's', batches: 99, batchSize: 4 });
    expect(again.numExamples).toBe(7);
  });

  it('repeats exactly, and depends on the seed', async () => {
    const learner = learnerOf();
    const losses = [];
    for (const seed of ['a', 'a', 'b']) losses.push((await learner.evaluate(initial, { seed, batches: 2, batchSize: 4 })).loss);
    expect(losses[1]).toBe(losses[0]);
    expect(losses[2]).not.toBe(losses[0]);
  });

  it('leaves the event loop free', async () => {
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    await learnerOf().fit(initial, { ...instructions, localSteps: 10 });
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(5);
  });
});

describe('cameras', () => {
  it('are matched by name after renaming', async () => {
    const learner = learnerOf(
      { cameras: ['observation.images.front', 'observation.images.wrist'] },
      { rename: { 'observation.images.front': 'observation.images.top' } },
    );
    const { loss } = await learner.evaluate(initial, { seed: 's', batches: 1, batchSize: 2 });
    expect(loss).toBeGreaterThan(0);
  });

  it.each<[string, SyntheticOptions, LearnerOptions['rename']]>([
    ['a camera is missing', { cameras: ['observation.images.top'] }, {}],
    ['there are none', { cameras: [] }, {}],
    ['a renaming names none of the dataset', {}, { nobody: 'observation.images.top' }],
    ['two become one', {}, { 'observation.images.wrist': 'observation.images.top' }],
  ])('are refused, both sides listed, when %s', (_what, options, rename) => {
    expect(() => learnerOf(options, rename === undefined ? {} : { rename })).toThrow(
      /policy takes \[observation\.images\.top, observation\.images\.wrist\], dataset synthetic has \[/,
    );
  });

  it('are refused with the sizes when the robot is another one', () => {
    expect(() => learnerOf({ axes: 7 })).toThrow(/7 state and 7 action values, the policy 6 and 6/);
  });
});
