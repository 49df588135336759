import { Random } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import { gradients as differentiate } from '../autodiff/gradients.ts';
import { encodeModel } from '../graph/encode-model.ts';
import { GraphBuilder } from '../graph/graph-builder.ts';
import * as ops from '../ops/index.ts';
import { createSession } from '../session/session.ts';
import { float32Tensor, sharedTensor, type Tensor } from '../session/tensor.ts';
import { adamWSchedule, adamWStep, clipGlobalNorm, COEFFICIENTS, sgdStep } from './graph-optimizer.ts';
import { Optimizer } from './optimizer.ts';
import { OptimizerArena } from './optimizer-arena.ts';
import { PIECE } from './tasks.ts';
import { writeTrainingLoop } from './training-loop.ts';

type Arrays = Record<string, Float32Array>;

function closeTo(found: Float32Array, wanted: ArrayLike<number>, tolerance: number): void {
  expect(found).toHaveLength(wanted.length);
  for (let index = 0; index < wanted.length; index++) {
    expect(Math.abs(found[index]! - wanted[index]!)).toBeLessThan(tolerance * (1 + Math.abs(wanted[index]!)));
  }
}

/** The weights and gradients that the numbers from PyTorch below were computed with. */
const startWeights = (): Arrays => ({ a: Float32Array.of(0.5, -1.25, 2), b: Float32Array.of(0.1, -0.3) });
function setGradients(g: Arrays, step: number): void {
  for (let i = 0; i < 3; i++) g['a']![i] = Math.sin(step + i) * 3;
  for (let i = 0; i < 2; i++) g['b']![i] = Math.cos(step * (i + 1));
}
const NORMS = [3.80242, 3.657295, 3.938504, 3.818593, 3.694275, 3.876961, 3.848349, 3.733625, 3.802395, 3.889116];
const STEPS = NORMS.length;
const rate = (step: number): number => 0.01 * step;
const adamw = { kind: 'adamw', betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1 } as const;

// torch 2.13.0, clip_grad_norm_(…, 2) before each of ten steps, lr 0.01 · step.
const TORCH = {
  adamw: { rule: adamw, a: [0.354652911, -1.2043004, 1.99577034], b: [0.151037261, -0.219037518] },
  sgd: {
    rule: { kind: 'sgd', momentum: 0.9, weightDecay: 0.1 },
    a: [-0.198774695, -0.986165285, 1.96353114],
    b: [0.168014288, -0.15030998],
  },
} as const;

describe('the optimiser over arrays', () => {
  it.each(Object.keys(TORCH) as (keyof typeof TORCH)[])('agrees with PyTorch: %s', async (kind) => {
    const weights = startWeights();
    const gradients = startWeights();
    const optimizer = new Optimizer({ rule: TORCH[kind].rule, weights, gradients, maxGradientNorm: 2 });
    for (let step = 1; step <= STEPS; step++) {
      setGradients(gradients, step);
      const { gradientNorm } = await optimizer.step(rate(step));
      expect(gradientNorm).toBeCloseTo(NORMS[step - 1]!, 5);
    }
    closeTo(weights['a']!, TORCH[kind].a, 3e-7);
    closeTo(weights['b']!, TORCH[kind].b, 3e-7);
    await optimizer.close();
  });

  it('goes on from moments that it is given', async () => {
    const { rule } = TORCH.adamw;
    const weights = startWeights();
    const gradients = startWeights();
    const zeros = (): Arrays => ({ a: new Float32Array(3), b: new Float32Array(2) });
    const moments = { first: zeros(), second: zeros() };
    for (let step = 1; step <= STEPS; step++) {
      const optimizer = new Optimizer({ rule, weights, gradients, maxGradientNorm: 2, moments });
      optimizer.stepsTaken = step - 1;
      setGradients(gradients, step);
      await optimizer.step(rate(step));
      await optimizer.close();
    }
    closeTo(weights['a']!, TORCH.adamw.a, 3e-7);
    closeTo(weights['b']!, TORCH.adamw.b, 3e-7);
    expect(() => new Optimizer({ rule, weights, gradients, moments: { ...moments, second: { a: new Float32Array(3) } } })).toThrow('second moments: b');
  });

  it.each([1, 2])('computes the same bits in an arena as elsewhere, with %d threads', async (threads) => {
    const sizes = { odd: 5, large: PIECE + 18, other: 3 };
    const shapes = Object.values(sizes).map((size) => [size]);
    const arena = new OptimizerArena([...shapes, ...shapes, ...shapes, ...shapes]);
    const anywhere = (size: number): Float32Array => sharedTensor('float32', [size]).data as Float32Array;
    const train = async (make: (size: number) => Float32Array, options: { readonly arena?: OptimizerArena }): Promise<Arrays[]> => {
      const arrays = (): Arrays => Object.fromEntries(Object.entries(sizes).map(([name, size]) => [name, make(size)]));
      const [weights, gradients, moments] = [arrays(), arrays(), { first: arrays(), second: arrays() }];
      const random = new Random('arena');
      for (const array of Object.values(weights)) random.fillNormal(array);
      const optimizer = new Optimizer({ rule: adamw, weights, gradients, moments, maxGradientNorm: 1, threads, ...options });
      for (let step = 1; step <= 3; step++) {
        for (const array of Object.values(gradients)) random.fillNormal(array);
        await optimizer.step(rate(step));
      }
      await optimizer.close();
      return [weights, moments.first, moments.second];
    };
    const inArena = await train((size) => arena.tensor([size]).data, { arena });
    expect(inArena).toEqual(await train(anywhere, {}));
    expect(() => arena.tensor([1])).toThrow('has no room');
    const [outside] = await train(anywhere, {});
    expect(() => new Optimizer({ rule: adamw, weights: outside!, gradients: outside!, arena })).toThrow('outside the arena');
  });

  it('computes the same bits with any number of threads', async () => {
    const sizes = { small: 5, large: 2 * PIECE + 17, other: PIECE };
    const train = async (threads: number): Promise<Arrays> => {
      const random = new Random('threads');
      const fill = (): Arrays =>
        Object.fromEntries(
          Object.entries(sizes).map(([name, size]) => [
            name,
            random.fillNormal(sharedTensor('float32', [size]).data as Float32Array),
          ]),
        );
      const [weights, gradients, reference, correction] = [fill(), fill(), fill(), fill()];
      const optimizer = new Optimizer({
        rule: adamw,
        weights,
        gradients,
        maxGradientNorm: 1,
        proximal: { mu: 0.1, reference },
        correction,
        threads,
      });
      for (let step = 0; step < 2; step++) await optimizer.step(0.01);
      await optimizer.close();
      return weights;
    };
    const alone = await train(1);
    const together = await train(2);
    for (const name of Object.keys(sizes)) expect(Buffer.from(together[name]!.buffer).equals(Buffer.from(alone[name]!.buffer))).toBe(true);
  });

  it('adds the proximal term and its gradient', async () => {
    const weights = { w: Float32Array.of(1, 3) };
    const gradients = { w: Float32Array.of(0, 0) };
    const proximal = { mu: 0.5, reference: { w: Float32Array.of(1, 1) } };
    const optimizer = new Optimizer({ rule: { kind: 'sgd' }, weights, gradients, proximal });
    expect(await optimizer.step(0.1)).toEqual({ gradientNorm: 1, proximalLoss: 1 });
    closeTo(weights.w, [1, 2.9], 1e-7);
  });

  it('corrects gradients before it clips them, and keeps the sums of what they were', async () => {
    const [weights, gradients] = [{ w: Float32Array.of(1, 3, 5, 7, 9) }, { w: new Float32Array(5) }];
    const correction = { w: Float32Array.of(3, 4, 0, 0, 0) };
    const optimizer = new Optimizer({ rule: { kind: 'sgd' }, weights, gradients, correction, maxGradientNorm: 1 });
    gradients.w.set([0, 0, 0, 0, 0]);
    expect((await optimizer.step(0.5)).gradientNorm).toBe(5);
    closeTo(weights.w, [1 - 0.3, 3 - 0.4, 5, 7, 9], 1e-6);
    gradients.w.set([-3, -4, 0, 0, 0.5]);
    expect((await optimizer.step(0.25)).gradientNorm).toBe(0.5);
    closeTo(weights.w, [0.7, 2.6, 5, 7, 9 - 0.125], 1e-6);
    closeTo(optimizer.gradientSums['w']!, [-0.75, -1, 0, 0, 0.125], 1e-7);
    expect(correction.w).toEqual(Float32Array.of(3, 4, 0, 0, 0));
  });

  it('goes on from saved moments as if it had never stopped', async () => {
    const run = async (restartAt: number): Promise<Arrays> => {
      const weights = startWeights();
      const gradients = startWeights();
      let optimizer = new Optimizer({ rule: adamw, weights, gradients });
      for (let step = 1; step <= STEPS; step++) {
        if (step === restartAt) {
          const next = new Optimizer({ rule: adamw, weights, gradients });
          next.stepsTaken = optimizer.stepsTaken;
          for (const name of Object.keys(weights)) {
            next.firstMoments[name]!.set(optimizer.firstMoments[name]!);
            next.secondMoments[name]!.set(optimizer.secondMoments[name]!);
          }
          optimizer = next;
        }
        setGradients(gradients, step);
        await optimizer.step(rate(step));
      }
      return weights;
    };
    expect(await run(4)).toEqual(await run(0));
  });

  it.each([NaN, Infinity, -Infinity])('stops at a gradient of %d, names the tensor and changes nothing', async (bad) => {
    const weights = startWeights();
    const gradients = startWeights();
    gradients['b']![1] = bad;
    const optimizer = new Optimizer({ rule: adamw, weights, gradients });
    await expect(optimizer.step(0.1)).rejects.toMatchObject({ code: 'GRADIENT_NOT_FINITE', tensor: 'b' });
    expect(weights).toEqual(startWeights());
    expect(optimizer.stepsTaken).toBe(0);
  });

  it('refuses memory that does not fit or cannot be shared out', () => {
    const weights = startWeights();
    const make = (options: object): (() => Optimizer) => () => new Optimizer({ rule: adamw, weights, gradients: weights, ...options });
    expect(make({ gradients: { a: weights['a'] } })).toThrow(/gradients: b has 0 elements for 2/);
    expect(make({ threads: 2 })).toThrow(/shared memory/);
    expect(make({ threads: 0 })).toThrow(/0 threads/);
  });
});

describe('the optimiser in the graph', () => {
  it('agrees with the one over arrays', async () => {
    const graph = new GraphBuilder();
    const named = (prefix: string) => ({ a: graph.input(`${prefix}a`, 'float32', [3]), b: graph.input(`${prefix}b`, 'float32', [2]) });
    const [w, g, m, v] = ['w', 'g', 'm', 'v'].map((prefix) => Object.values(named(prefix)));
    const coefficients = graph.input('coefficients', 'float32', [COEFFICIENTS]);
    const { values, norm } = clipGlobalNorm(g!, 2);
    const after = adamWStep({ weights: w!, firstMoments: m!, secondMoments: v! }, values, coefficients, adamw);
    graph.output('norm', norm);
    const outputs = { w: after.weights, m: after.firstMoments, v: after.secondMoments };
    for (const [prefix, list] of Object.entries(outputs)) {
      list.forEach((value, index) => {
        graph.output(`new ${prefix}${'ab'[index]!}`, value);
      });
    }
    const session = await createSession(encodeModel(graph), { threads: 1 });
    const weights = startWeights();
    const gradients = startWeights();
    const optimizer = new Optimizer({ rule: adamw, weights, gradients, maxGradientNorm: 2 });
    const zeros = { a: new Float32Array(3), b: new Float32Array(2) };
    let state: Record<string, Tensor> = {};
    for (const [prefix, arrays] of Object.entries({ w: startWeights(), m: zeros, v: zeros })) {
      for (const [name, data] of Object.entries(arrays)) state[prefix + name] = float32Tensor(data);
    }
    const schedule = adamWSchedule(adamw, Array.from({ length: STEPS }, (_, index) => rate(index + 1)), 1).data as Float32Array;
    for (let step = 1; step <= STEPS; step++) {
      setGradients(gradients, step);
      const row = float32Tensor(schedule.slice((step - 1) * COEFFICIENTS, step * COEFFICIENTS));
      const { norm: found, ...next } = await session.run({
        ...state,
        ga: float32Tensor(gradients['a']!),
        gb: float32Tensor(gradients['b']!),
        coefficients: row,
      });
      const { gradientNorm } = await optimizer.step(rate(step));
      expect(Number(found!.data[0])).toBeCloseTo(gradientNorm, 5);
      state = Object.fromEntries(Object.entries(next).map(([name, tensor]) => [name.slice('new '.length), tensor]));
    }
    await session.close();
    for (const name of ['a', 'b']) {
      closeTo(state[`w${name}`]!.data as Float32Array, weights[name]!, 5e-7);
      closeTo(state[`m${name}`]!.data as Float32Array, optimizer.firstMoments[name]!, 5e-7);
      closeTo(state[`v${name}`]!.data as Float32Array, optimizer.secondMoments[name]!, 5e-7);
    }
  });

  it('descends plainly', async () => {
    const graph = new GraphBuilder();
    const x = graph.input('x', 'float32', [2]);
    graph.output('y', sgdStep([x], [ops.mul(x, 2)], graph.constant(0.25, 'float32'))[0]!);
    const session = await createSession(encodeModel(graph), { threads: 1 });
    const { y } = await session.run({ x: float32Tensor(Float32Array.of(1, -2)) });
    await session.close();
    expect([...y!.data]).toEqual([0.5, -1]);
  });
});

describe('a training loop in one run', () => {
  it('takes the steps that single runs with the optimiser over arrays take', async () => {
    const [steps, batch, width] = [5, 8, 4];
    const random = new Random('loop');
    const inputs = random.fillNormal(new Float32Array(steps * batch * width));
    const targets = random.fillNormal(new Float32Array(steps * batch));
    const initial = { w: random.fillNormal(new Float32Array(width)), b: Float32Array.of(0.5) };
    const rates = Array.from({ length: steps }, (_, index) => 0.1 / (index + 1));
    type Values = readonly ReturnType<GraphBuilder['input']>[];
    const loss = ([w, b]: Values, [x, y]: Values) => {
      const error = ops.sub(ops.add(ops.matMul(x!, ops.reshape(w!, [width, 1])), b!), y!);
      return ops.reduceMean(ops.mul(error, error));
    };

    const graph = new GraphBuilder();
    const state = (prefix: string) => [
      graph.input(`${prefix}w`, 'float32', [width]),
      graph.input(`${prefix}b`, 'float32', [1]),
    ];
    const batches = [graph.input('x', 'float32', [steps, batch, width]), graph.input('y', 'float32', [steps, batch, 1])];
    const result = writeTrainingLoop(graph, {
      steps,
      state: { weights: state(''), firstMoments: state('m'), secondMoments: state('v') },
      schedule: graph.input('schedule', 'float32', [steps, COEFFICIENTS]),
      settings: adamw,
      maxGradientNorm: 1,
      loss: (weights, step) => loss(weights, batches.map((value) => ops.gather(value, step))),
    });
    graph.output('losses', result.losses);
    graph.output('norms', result.gradientNorms);
    graph.output('w new', result.state.weights[0]!);
    graph.output('b new', result.state.weights[1]!);
    const loop = await createSession(encodeModel(graph), { threads: 1 });
    const looped = await loop.run({
      w: float32Tensor(initial.w),
      b: float32Tensor(initial.b),
      mw: float32Tensor(new Float32Array(width)),
      mb: float32Tensor(new Float32Array(1)),
      vw: float32Tensor(new Float32Array(width)),
      vb: float32Tensor(new Float32Array(1)),
      schedule: adamWSchedule(adamw, rates, 1),
      x: float32Tensor(inputs, [steps, batch, width]),
      y: float32Tensor(targets, [steps, batch, 1]),
    });
    await loop.close();

    const single = new GraphBuilder();
    const weights = [single.input('w', 'float32', [width]), single.input('b', 'float32', [1])];
    const value = loss(weights, [single.input('x', 'float32', [batch, width]), single.input('y', 'float32', [batch, 1])]);
    differentiate(value, weights).forEach((gradient, index) => {
      single.output(`g${'wb'[index]!}`, gradient);
    });
    single.output('loss', value);
    const session = await createSession(encodeModel(single), { threads: 1 });
    const arrays = { w: initial.w.slice(), b: initial.b.slice() };
    const received = { w: new Float32Array(width), b: new Float32Array(1) };
    const optimizer = new Optimizer({ rule: adamw, weights: arrays, gradients: received, maxGradientNorm: 1 });
    const found: { losses: number[]; norms: number[] } = { losses: [], norms: [] };
    for (let step = 0; step < steps; step++) {
      const outputs = await session.run({
        w: float32Tensor(arrays.w),
        b: float32Tensor(arrays.b),
        x: float32Tensor(inputs.slice(step * batch * width, (step + 1) * batch * width), [batch, width]),
        y: float32Tensor(targets.slice(step * batch, (step + 1) * batch), [batch, 1]),
      });
      received.w.set(outputs['gw']!.data as Float32Array);
      received.b.set(outputs['gb']!.data as Float32Array);
      found.losses.push(Number(outputs['loss']!.data[0]));
      found.norms.push((await optimizer.step(rates[step]!)).gradientNorm);
    }
    await session.close();
    closeTo(looped['losses']!.data as Float32Array, found.losses, 1e-5);
    closeTo(looped['norms']!.data as Float32Array, found.norms, 1e-5);
    closeTo(looped['w new']!.data as Float32Array, arrays.w, 1e-5);
    closeTo(looped['b new']!.data as Float32Array, arrays.b, 1e-5);
  });
});
