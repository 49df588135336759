import { Random } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import { gradients } from '../autodiff/gradients.ts';
import { encodeModel } from '../graph/encode-model.ts';
import { GraphBuilder } from '../graph/graph-builder.ts';
import type { Value } from '../graph/value.ts';
import * as ops from '../ops/index.ts';
import { createSession } from '../session/session.ts';
import { float32Tensor, type Tensor } from '../session/tensor.ts';
import { adamWSchedule, COEFFICIENTS } from './graph-optimizer.ts';
import { LOSS_SCALING, nextLossScale, writeNextLossScale } from './loss-scaling.ts';
import { Optimizer } from './optimizer.ts';
import { writeTrainingLoop } from './training-loop.ts';

const scalar = (value: number): Tensor => float32Tensor(Float32Array.of(value), []);

describe('the loss scale', () => {
  it('is the same in a graph: halved by an overflow, doubled after many steps without', async () => {
    const graph = new GraphBuilder();
    const [scale, streak, norm] = ['scale', 'streak', 'norm'].map((name) => graph.input(name, 'float32', []));
    const next = writeNextLossScale({ scale: scale!, streak: streak! }, ops.less(norm!, 1e38));
    graph.output('next scale', next.scale);
    graph.output('next streak', next.streak);
    const session = await createSession(encodeModel(graph), { threads: 1 });
    for (const streakBefore of [0, 5, LOSS_SCALING.interval - 2, LOSS_SCALING.interval - 1]) {
      for (const found of [1, NaN, Infinity]) {
        const { 'next scale': scaleAfter, 'next streak': streakAfter } = await session.run({
          scale: scalar(1024),
          streak: scalar(streakBefore),
          norm: scalar(found),
        });
        const expected = nextLossScale({ scale: 1024, streak: streakBefore }, Number.isFinite(found));
        expect({ scale: scaleAfter!.data[0], streak: streakAfter!.data[0] }).toEqual(expected);
      }
    }
    await session.close();
    expect(nextLossScale({ scale: 1024, streak: LOSS_SCALING.interval - 1 }, true)).toEqual({ scale: 2048, streak: 0 });
    expect(nextLossScale({ scale: 1024, streak: 7 }, false)).toEqual({ scale: 512, streak: 0 });
  });
});

describe('a training loop', () => {
  const [steps, width] = [12, 6];
  const adamw = { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1 } as const;
  const rates = Array.from({ length: steps }, (_, index) => 0.05 / (index + 1));
  const start = new Random('scaling').fillNormal(new Float32Array(width));
  const reference = new Random('reference').fillNormal(new Float32Array(width));
  const correction = new Random('correction').fillNormal(new Float32Array(width));
  const loss = (w: Value): Value => ops.reduceSum(ops.mul(ops.mul(w, w), 3));

  /** Runs the loop from a loss scale, or without one. */
  async function looped(scale?: number, weights = start): Promise<Record<string, Float32Array>> {
    const graph = new GraphBuilder();
    const input = (name: string): Value => graph.input(name, 'float32', name === 'mu' || name.startsWith('scale') ? [] : [width]);
    const result = writeTrainingLoop(graph, {
      steps,
      state: { weights: [input('w')], firstMoments: [input('m')], secondMoments: [input('v')], gradientSums: [input('sums')] },
      schedule: graph.input('schedule', 'float32', [steps, COEFFICIENTS]),
      settings: adamw,
      maxGradientNorm: 5,
      proximal: { mu: input('mu'), reference: [input('reference')] },
      correction: [input('correction')],
      ...(scale !== undefined && { lossScale: { scale: input('scale'), streak: input('scale streak') } }),
      loss: ([w]) => loss(w!),
    });
    graph.output('weights', result.state.weights[0]!);
    graph.output('moments', result.state.firstMoments[0]!);
    graph.output('gradient sums', result.state.gradientSums![0]!);
    graph.output('applied', result.applied);
    graph.output('losses', result.losses);
    graph.output('proximal', result.proximalLosses);
    const session = await createSession(encodeModel(graph), { threads: 1 });
    const outputs = await session.run({
      w: float32Tensor(weights),
      m: float32Tensor(new Float32Array(width)),
      v: float32Tensor(new Float32Array(width)),
      reference: float32Tensor(reference),
      correction: float32Tensor(correction),
      sums: float32Tensor(new Float32Array(width)),
      mu: scalar(0.3),
      schedule: adamWSchedule(adamw, rates, 1),
      ...(scale !== undefined && { scale: scalar(scale), 'scale streak': scalar(0) }),
    });
    await session.close();
    return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data as Float32Array]));
  }

  /** The same by the optimiser over arrays, which is asked for the steps that were applied alone. */
  async function onHost(applied: Float32Array): Promise<{ weights: Float32Array; sums: Float32Array; proximal: number[] }> {
    const graph = new GraphBuilder();
    const w = graph.input('w', 'float32', [width]);
    graph.output('g', gradients(loss(w), [w])[0]!);
    const session = await createSession(encodeModel(graph), { threads: 1 });
    const [weights, received] = [start.slice(), new Float32Array(width)];
    const optimizer = new Optimizer({
      rule: { kind: 'adamw', ...adamw },
      weights: { w: weights },
      gradients: { w: received },
      maxGradientNorm: 5,
      proximal: { mu: 0.3, reference: { w: reference } },
      correction: { w: correction },
    });
    const proximal: number[] = [];
    for (let step = 0; step < steps; step++) {
      if (applied[step] === 0) continue;
      received.set((await session.run({ w: float32Tensor(weights) }))['g']!.data as Float32Array);
      proximal.push((await optimizer.step(rates[step]!)).proximalLoss);
    }
    await session.close();
    return { weights, sums: optimizer.gradientSums['w']!, proximal };
  }

  function expectClose(found: ArrayLike<number>, wanted: ArrayLike<number>): void {
    expect(found.length).toBe(wanted.length);
    Array.from(wanted).forEach((value, index) => {
      expect(Math.abs(found[index]! - value)).toBeLessThan(2e-6 * Math.max(1, Math.abs(value)));
    });
  }

  it.each([undefined, 2 ** 10])('with loss scale %s takes the steps of the optimiser over arrays', async (scale) => {
    const found = await looped(scale);
    const host = await onHost(found['applied']!);
    expect([...found['applied']!]).toEqual(Array.from({ length: steps }, () => 1));
    expectClose(found['weights']!, host.weights);
    expectClose(found['gradient sums']!, host.sums);
    expectClose(found['proximal']!, host.proximal);
  });

  it('leaves out the steps whose gradients overflow, and corrects the bias for those it took', async () => {
    // 2¹²⁷ times gradients of 6·w is beyond float32 until it has been halved some times.
    const found = await looped(2 ** 127);
    const applied = [...found['applied']!];
    const left = applied.indexOf(1);
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(8);
    expect(applied.slice(left)).toEqual(Array.from({ length: steps - left }, () => 1));
    const host = await onHost(found['applied']!);
    expectClose(found['weights']!, host.weights);
    expectClose(found['gradient sums']!, host.sums);
  });

  it.each([undefined, 1024])('with loss scale %s stays where it was once the loss is not finite', async (scale) => {
    const broken = start.map((value, index) => (index === 2 ? NaN : value));
    const found = await looped(scale, broken);
    expect(found['weights']).toEqual(broken);
    expect(found['moments']).toEqual(new Float32Array(width));
    expect([...found['applied']!]).toEqual(Array.from({ length: steps }, () => 0));
  });
});
