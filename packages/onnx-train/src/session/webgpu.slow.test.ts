import { elementCount, Random } from '@zk0/core';
import { beforeEach, describe, expect, it } from 'vitest';
import { gradients } from '../autodiff/gradients.ts';
import { encodeModel, type OnnxModel } from '../graph/encode-model.ts';
import { GraphBuilder } from '../graph/graph-builder.ts';
import * as nn from '../ops/nn.ts';
import * as ops from '../ops/index.ts';
import { adamWSchedule, COEFFICIENTS } from '../optim/graph-optimizer.ts';
import { writeTrainingLoop } from '../optim/training-loop.ts';
import { createSession, type SessionOptions } from './session.ts';
import { float32Tensor, type Tensor } from './tensor.ts';

// Without a driver, WebGPU's library writes to stderr as soon as it is asked, so it is asked only where there is one.
const enabled = process.env['ZK0_TEST_WEBGPU'] === '1';
const NEEDED = 'install chromium-common and libvulkan1 (SwiftShader), or set ZK0_TEST_WEBGPU=1 where there is a GPU';
/** Refuses to load a model any node of which would run on the processor. */
const ON_DEVICE_ONLY = { 'session.disable_cpu_ep_fallback': '1' };

function feedsOf(model: OnnxModel): Record<string, Tensor> {
  const random = new Random('webgpu');
  return Object.fromEntries(
    [...model.inputs].map(([name, { shape }]) => {
      const data = random.fillNormal(new Float32Array(elementCount(shape)));
      return [name, float32Tensor(data.map((value) => 0.3 * value), shape)];
    }),
  );
}

async function run(model: OnnxModel, feeds: Record<string, Tensor>, options: SessionOptions): Promise<Record<string, Tensor>> {
  const session = await createSession(model, { ...options, threads: 1 });
  try {
    return await session.run(feeds);
  } finally {
    await session.close();
  }
}

function expectClose(found: Record<string, Tensor>, wanted: Record<string, Tensor>): void {
  for (const [name, { data }] of Object.entries(wanted)) {
    data.forEach((value, index) => {
      expect(Math.abs(Number(found[name]!.data[index]) - Number(value)), name).toBeLessThan(1e-5);
    });
  }
}

describe('webgpu', { timeout: 240_000 }, () => {
  beforeEach(({ skip }) => {
    skip(!enabled, NEEDED);
  });

  it('computes a layer and all its gradients as the cpu does, every node on the device', async () => {
    const graph = new GraphBuilder();
    const x = graph.input('x', 'float32', [2, 6, 32]);
    const shapes = { norm: [32], q: [32, 32], k: [16, 32], v: [16, 32], o: [32, 32] };
    const [norm, q, k, v, o] = Object.entries(shapes).map(([name, shape]) => graph.input(name, 'float32', shape));
    const h = nn.rmsNorm(x, norm!);
    const attended = nn.attention(
      nn.splitHeads(nn.linear(h, q!), 4),
      nn.splitHeads(nn.linear(h, k!), 2),
      nn.splitHeads(nn.linear(h, v!), 2),
    );
    const y = ops.add(x, nn.linear(nn.mergeHeads(attended), o!));
    const loss = ops.reduceMean(ops.mul(y, y));
    graph.output('loss', loss);
    gradients(loss, [norm!, q!, k!, v!, o!]).forEach((gradient, index) => {
      graph.output(`d${Object.keys(shapes)[index]!}`, gradient);
    });
    const model = encodeModel(graph);
    const feeds = feedsOf(model);
    const onDevice = await run(model, feeds, { device: 'webgpu', config: ON_DEVICE_ONLY });
    expectClose(onDevice, await run(model, feeds, { device: 'cpu' }));
  });

  it('takes several optimiser steps in one run as the cpu does', async () => {
    const graph = new GraphBuilder();
    const [steps, batch, width] = [4, 8, 16];
    const settings = { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1 } as const;
    const weight = (name: string): ReturnType<GraphBuilder['input']> => graph.input(name, 'float32', [width, width]);
    const inputs = graph.input('x', 'float32', [steps, batch, width]);
    const { losses, state } = writeTrainingLoop(graph, {
      steps,
      state: { weights: [weight('w')], firstMoments: [weight('m')], secondMoments: [weight('v')] },
      schedule: graph.input('schedule', 'float32', [steps, COEFFICIENTS]),
      settings,
      maxGradientNorm: 1,
      loss: ([w], step) => {
        const x = ops.gather(inputs, step);
        const error = ops.sub(ops.tanh(ops.matMul(x, w!)), x);
        return ops.reduceMean(ops.mul(error, error));
      },
    });
    graph.output('losses', losses);
    graph.output('new w', state.weights[0]!);
    const model = encodeModel(graph);
    const zeros = float32Tensor(new Float32Array(width * width), [width, width]);
    const schedule = adamWSchedule(settings, [0.01, 0.01, 0.005, 0.005], 1);
    const feeds = { ...feedsOf(model), m: zeros, v: zeros, schedule };
    // The Loop node itself lives on the processor, its body on the device.
    expectClose(await run(model, feeds, { device: 'webgpu' }), await run(model, feeds, { device: 'cpu' }));
  });

  it('keeps a state on the device from run to run, and gives it back', async () => {
    const graph = new GraphBuilder();
    const [state, factor, x] = ['state', 'factor', 'x'].map((name) => graph.input(name, 'float32', [2, 3]));
    const next = ops.add(ops.mul(state!, factor!), x!);
    graph.output('next', next);
    graph.output('sum', ops.reduceSum(next));
    const values = (of: (index: number) => number): Tensor => float32Tensor(Float32Array.from({ length: 6 }, (_, i) => of(i)), [2, 3]);
    const session = await createSession(encodeModel(graph), {
      device: 'webgpu',
      threads: 1,
      config: ON_DEVICE_ONLY,
      state: { state: 'next', factor: null },
    });
    await session.setState({ state: values((i) => i), factor: values(() => 2) });
    const sums: number[] = [];
    for (let step = 0; step < 3; step++) sums.push(Number((await session.run({ x: values(() => 1) }))['sum']!.data[0]));
    expect(sums).toEqual([36, 78, 162]);
    expect(await session.getState()).toEqual({ state: values((i) => 8 * i + 7), factor: values(() => 2) });
    await session.setState({ state: values(() => 0) });
    expect(await session.run({ x: values((i) => i) })).toEqual({ sum: float32Tensor(Float32Array.of(15), []) });
    await session.close();
  });

  it('runs several sessions at once, one of which ends', async () => {
    const chain = (size: number, length: number): OnnxModel => {
      const graph = new GraphBuilder();
      const x = graph.input('x', 'float32', [size, size]);
      graph.output('y', Array.from({ length }).reduce<typeof x>((y) => ops.mul(ops.matMul(y, x), 0.5), x));
      return encodeModel(graph);
    };
    const models = [chain(32, 5), chain(24, 7)];
    const sessions = await Promise.all(models.map((model) => createSession(model, { device: 'webgpu', threads: 1 })));
    const results = sessions.map(async (session, index) => {
      const feeds = feedsOf(models[index]!);
      const first = await session.run(feeds);
      for (let round = 0; round < 5; round++) expect(await session.run(feeds)).toEqual(first);
      await session.close();
    });
    await Promise.all(results);
  });
});
