import { hashParameters, Random, type FitInstructions, type Parameters } from '@zk0/core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { NotFiniteError } from '../src/errors.ts';
import { openPolicy } from '../src/open-policy.ts';
import type { SmolVlaPolicy } from '../src/policy.ts';
import { relativeError } from './golden-files.ts';
import { normalizerOf, syntheticDataset } from './synthetic-dataset.ts';
import { tinyWorkspace } from './tiny-policy.ts';

const enabled = process.env['ZK0_TEST_WEBGPU'] === '1';
const NEEDED = 'install chromium-common and libvulkan1 (SwiftShader), or set ZK0_TEST_WEBGPU=1 where there is a GPU';
const features = { stateSize: 6, actionSize: 6, cameras: ['observation.images.top', 'observation.images.wrist'] };
const instructions: FitInstructions = { round: 1, seed: 'fit', localSteps: 3, batchSize: 2, learningRate: 1e-3, proximalMu: 0.01 };
const dataset = syntheticDataset({ episodes: 1, framesPerEpisode: 8 });
const normalizer = normalizerOf(dataset);
const samples = { seed: 'held-out', batches: 1, batchSize: 2 };

let workspace: Awaited<ReturnType<typeof tinyWorkspace>>;
let policies: { readonly cpu: SmolVlaPolicy; readonly webgpu: SmolVlaPolicy };
let initial: Parameters;

/**
 * One layer of joint self-attention and one of cross-attention, every kind of graph. The runtime refuses to load a graph
 * of which any node would run on the processor, so whatever passes here ran on the device.
 */
describe('on WebGPU', { timeout: 120_000 }, () => {
  beforeAll(async () => {
    if (!enabled) return;
    workspace = await tinyWorkspace();
    const open = (device: string): Promise<SmolVlaPolicy> =>
      openPolicy(workspace.checkpoint, { device, threads: 1, features, cacheDirectory: `${workspace.root}/${device}` });
    policies = { cpu: await open('cpu'), webgpu: await open('webgpu') };
    initial = await policies.cpu.initialParameters();
  }, 120_000);

  beforeEach(({ skip }) => {
    skip(!enabled, NEEDED);
  });

  afterAll(async () => {
    if (!enabled) return;
    await policies.cpu.close();
    await policies.webgpu.close();
    await workspace.remove();
  });

  async function onBoth<T>(work: (policy: SmolVlaPolicy) => Promise<T>): Promise<{ readonly cpu: T; readonly webgpu: T }> {
    return { cpu: await work(policies.cpu), webgpu: await work(policies.webgpu) };
  }

  it('fills the cache, trains and evaluates as the processor does', async () => {
    expect(policies.webgpu.device).toBe('webgpu');
    const { cpu, webgpu } = await onBoth(async (policy) => {
      const learner = policy.learner(dataset, { normalizer, cache: 'prefix' });
      const before = await learner.evaluate(initial, samples);
      const { parameters, metrics } = await learner.fit(initial, instructions);
      const after = await learner.evaluate(parameters, samples);
      await learner.close();
      return { parameters, metrics, before: before.loss, after: after.loss };
    });
    expect(Math.abs(webgpu.before - cpu.before)).toBeLessThan(1e-5 * cpu.before);
    expect(Math.abs(webgpu.after - cpu.after)).toBeLessThan(1e-4 * cpu.after);
    expect(Object.keys(webgpu.metrics)).toEqual(Object.keys(cpu.metrics));
    for (const name of ['loss', 'policy_loss', 'fedprox_loss', 'grad_norm', 'param_update_norm']) {
      expect(Math.abs(webgpu.metrics[name]! - cpu.metrics[name]!), name).toBeLessThan(1e-3 * cpu.metrics[name]!);
    }
    const moved = (parameters: Parameters): Float32Array =>
      Float32Array.from([...initial].flatMap(([name, { data }]) => [...parameters.get(name)!.data].map((value, at) => value - data[at]!)));
    // AdamW divides a gradient by its own size: what is rounding in a gradient near 0 is a visible part of its step.
    expect(relativeError(moved(webgpu.parameters), moved(cpu.parameters))).toBeLessThan(5e-3);
  });

  it('acts as the processor does, with whichever weights are meant', async () => {
    const images = await dataset.images(3, features.cameras);
    const observation = {
      state: dataset.state(3),
      images: Object.fromEntries(features.cameras.map((key, index) => [key, images[index]!])),
      task: dataset.task(3),
    };
    const noise = new Random(1).fillNormal(new Float32Array(6 * 8));
    const doubled = new Map([...initial].map(([name, { shape, data }]) => [name, { shape, data: data.map((value) => 1.5 * value) }]));
    const { cpu, webgpu } = await onBoth(async (policy) => {
      const actors = [await policy.actor({ parameters: initial, normalizer }), await policy.actor({ parameters: doubled, normalizer })];
      const chunks = await Promise.all([0, 1, 0].map((which) => actors[which]!.act(observation, { noise })));
      return chunks.map(({ actions }) => actions);
    });
    expect(webgpu[2]).toEqual(webgpu[0]);
    webgpu.forEach((actions, index) => {
      expect(relativeError(actions, cpu[index]!)).toBeLessThan(1e-5);
    });
  });

  it('names step and tensor of what is not finite, keeps the last good weights, and stops when asked to', async () => {
    const learner = policies.webgpu.learner(dataset, { normalizer, cache: 'prefix' });
    const [name, { shape, data }] = [...initial].find(([key]) => key.endsWith('action_out_proj.weight'))!;
    const broken: Parameters = new Map([...initial, [name, { shape, data: data.map(() => NaN) }]]);
    const failure = await learner.fit(broken, instructions).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(NotFiniteError);
    expect(failure).toMatchObject({ code: 'NOT_FINITE', step: 0, tensor: 'loss' });
    expect(hashParameters((failure as NotFiniteError).lastGood)).toBe(hashParameters(broken));

    const controller = new AbortController();
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const running = learner.fit(initial, { ...instructions, localSteps: 50 }, {
      signal: controller.signal,
      onProgress: ({ phase, step }) => {
        if (phase === 'training' && step === 2) controller.abort();
      },
    });
    await expect(running).rejects.toMatchObject({ code: 'CANCELLED' });
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(5);
    await learner.close();
  });
});
