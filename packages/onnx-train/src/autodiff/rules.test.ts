import { elementCount, Random } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import type { DataType } from '../graph/data-type.ts';
import { encodeModel } from '../graph/encode-model.ts';
import { GraphBuilder } from '../graph/graph-builder.ts';
import type { Value } from '../graph/value.ts';
import * as nn from '../ops/nn.ts';
import * as ops from '../ops/index.ts';
import { OrtSession } from '../session/ort-session.ts';
import type { Tensor, Tensors } from '../session/tensor.ts';
import { gradients, rules } from './gradients.ts';

/** A function of some tensors, with shapes drawn anew for every trial. */
interface Case {
  readonly shapes: readonly (readonly number[])[];
  readonly build: (...inputs: Value[]) => Value;
  /** Inputs are uniform in this interval; by default −1 … 1. */
  readonly range?: readonly [number, number];
  /** Whether values are kept apart, for functions with corners where two inputs meet or one crosses zero. */
  readonly apart?: boolean;
  /** float64 unless onnxruntime has the kernel in float32 only. */
  readonly dtype?: DataType;
}

const size = (random: Random): number => 1 + random.below(4);
const sizes = (random: Random, rank: number): number[] => Array.from({ length: rank }, () => size(random));

/** Two shapes that broadcast: axes of size 1 and missing leading axes on either side. */
function broadcasting(random: Random): [number[], number[]] {
  const full = sizes(random, 1 + random.below(3));
  const thin = (shape: number[]): number[] =>
    shape.map((length) => (random.below(3) === 0 ? 1 : length)).slice(random.below(shape.length + 1));
  return random.below(2) === 0 ? [thin(full), full] : [full, thin(full)];
}

const unary =
  (build: (x: Value) => Value, options: Partial<Case> = {}) =>
  (random: Random): Case => ({ shapes: [sizes(random, random.below(4))], build, ...options });
const binary =
  (build: (a: Value, b: Value) => Value, options: Partial<Case> = {}) =>
  (random: Random): Case => ({ shapes: broadcasting(random), build: build, ...options });
const condition = (like: Value): Value => ops.greater(ops.sin(ops.mul(like, 37)), 0);

const cases: Record<string, (random: Random) => Case> = {
  add: binary(ops.add),
  sub: binary(ops.sub),
  mul: binary(ops.mul),
  div: binary(ops.div, { range: [0.5, 2] }),
  pow: binary(ops.pow, { range: [0.5, 2] }),
  max: binary(ops.max, { apart: true }),
  min: binary(ops.min, { apart: true }),
  'a value used twice': unary((x) => ops.mul(x, ops.exp(x))),
  where: (random) => {
    const [a, b] = broadcasting(random);
    return { shapes: [a, b], build: (x, y) => ops.where(condition(ops.fill(x, b, 0.3)), x, y) };
  },
  neg: unary(ops.neg),
  abs: unary(ops.abs, { apart: true }),
  sqrt: unary(ops.sqrt, { range: [0.5, 2] }),
  reciprocal: unary(ops.reciprocal, { range: [0.5, 2] }),
  exp: unary(ops.exp),
  log: unary(ops.log, { range: [0.5, 2] }),
  erf: unary(ops.erf, { dtype: 'float32' }),
  tanh: unary(ops.tanh),
  sigmoid: unary(ops.sigmoid),
  sin: unary(ops.sin),
  cos: unary(ops.cos),
  relu: unary(ops.relu, { apart: true }),
  'gelu, exact': unary((x) => ops.gelu(x), { dtype: 'float32', range: [-3, 3] }),
  'gelu, tanh': unary((x) => ops.gelu(x, 'tanh'), { dtype: 'float32', range: [-3, 3] }),
  cast: unary((x) => ops.cast(ops.cast(x, 'float64'), 'float32'), { dtype: 'float32' }),
  identity: unary(ops.identity),

  reshape: (random) => {
    const shape = sizes(random, 3);
    return { shapes: [shape], build: (x) => ops.reshape(x, [shape[0]! * shape[1]!, -1]) };
  },
  squeeze: (random) => ({ shapes: [[1, size(random), 1]], build: (x) => ops.squeeze(x, [0, -1]) }),
  unsqueeze: (random) => ({ shapes: [sizes(random, 2)], build: (x) => ops.unsqueeze(x, [0, 2]) }),
  transpose: (random) => ({ shapes: [sizes(random, 3)], build: (x) => ops.transpose(x, [1, 2, 0]) }),
  'transpose of a transpose': (random) => ({
    shapes: [sizes(random, 3)],
    build: (x) => ops.transpose(ops.transpose(x, [1, 2, 0]), [0, 2, 1]),
  }),
  expand: (random) => ({ shapes: [[1, size(random), 1]], build: (x) => ops.expand(x, [3, 2, ...x.shape.slice(1, 2), 4]) }),
  'expand before a product': (random) => ({
    shapes: [[1, 3], sizes(random, 1).concat(3)],
    build: (x, y) => ops.mul(ops.expand(x, y.shape), y),
  }),
  concat: (random) => {
    const shape = sizes(random, 3);
    const other = [shape[0]!, size(random), shape[2]!];
    return { shapes: [shape, other, shape], build: (...parts) => ops.concat(parts, 1) };
  },
  split: (random) => {
    const [a, b, c] = [size(random), size(random), size(random)];
    return {
      shapes: [[2, a + b + c]],
      build: (x) => {
        // The middle part is not used: its gradient is zero.
        const [first, , last] = ops.split(x, 1, [a, b, c]);
        return ops.concat([ops.exp(last!), first!], 1);
      },
    };
  },
  slice: (random) => {
    const [start, count] = [random.below(3), size(random)];
    return { shapes: [[2, start + count + random.below(3)]], build: (x) => ops.slice(x, -1, start, start + count) };
  },
  'slice with a step': (random) => ({ shapes: [[2, 5 + size(random), 2]], build: (x) => ops.slice(x, 1, 1, 6, 2) }),
  pad: (random) => ({ shapes: [sizes(random, 2)], build: (x) => ops.pad(x, 1, 2, 1) }),
  gather: (random) => {
    const shape = sizes(random, 3);
    const axis = random.below(3);
    const indices = Array.from({ length: 4 }, () => random.below(shape[axis]!));
    return { shapes: [shape], build: (x) => ops.gather(x, x.graph.constant(indices, 'int64', [2, 2]), axis) };
  },
  'gather of one': (random) => ({
    shapes: [[3, size(random)]],
    build: (x) => ops.gather(x, x.graph.constant(1, 'int64'), 0),
  }),
  'scatter add': (random) => {
    const width = size(random);
    const indices = Array.from({ length: 4 }, () => random.below(3));
    return {
      shapes: [[3, width], [4, width]],
      build: (x, updates) => ops.scatterAdd(x, x.graph.constant(indices, 'int64'), updates),
    };
  },

  'reduce sum': (random) => ({ shapes: [sizes(random, 3)], build: (x) => ops.reduceSum(x, { axes: [0, 2] }) }),
  'reduce sum of all': unary((x) => ops.reduceSum(x)),
  'reduce mean': (random) => ({
    shapes: [sizes(random, 3)],
    build: (x) => ops.reduceMean(x, { axes: [-1], keepDims: true }),
  }),
  'reduce mean of all': unary((x) => ops.reduceMean(x)),
  'reduce max': (random) => ({ shapes: [sizes(random, 3)], apart: true, build: (x) => ops.reduceMax(x, { axes: [1] }) }),
  softmax: (random) => ({ shapes: [sizes(random, 3)], build: (x) => ops.softmax(x, random.below(3)) }),
  'log softmax': (random) => ({ shapes: [sizes(random, 2)], build: (x) => ops.logSoftmax(x) }),
  'cumulative sum': (random) => ({ shapes: [sizes(random, 3)], build: (x) => ops.cumSum(x, 1) }),
  'reverse cumulative sum': (random) => ({
    shapes: [sizes(random, 2)],
    build: (x) => ops.cumSum(x, 0, { reverse: true }),
  }),

  'matmul of matrices': (random) => {
    const [m, k, n] = sizes(random, 3) as [number, number, number];
    return { shapes: [[m, k], [k, n]], build: (a, b) => ops.matMul(a, b) };
  },
  'matmul with a weight': (random) => {
    const [batch, m, k, n] = sizes(random, 4) as [number, number, number, number];
    return { shapes: [[batch, 2, m, k], [k, n]], build: (a, b) => ops.matMul(a, b) };
  },
  'matmul, batches broadcasting': (random) => {
    const [m, k, n] = sizes(random, 3) as [number, number, number];
    const [left, right] = broadcasting(random);
    return { shapes: [[...left, m, k], [...right, k, n]], build: (a, b) => ops.matMul(a, b) };
  },
  'fused matmul': (random) => {
    const [batch, m, k, n] = sizes(random, 4) as [number, number, number, number];
    const [transA, transB] = [random.below(2) === 1, random.below(2) === 1];
    const lead = random.below(2) === 1 ? [batch] : [];
    return {
      dtype: 'float32',
      shapes: [[batch, ...(transA ? [k, m] : [m, k])], [...lead, ...(transB ? [n, k] : [k, n])]],
      build: (a, b) => ops.fusedMatMul(a, b, { transA, transB, alpha: 0.5 }),
    };
  },
  gemm: (random) => {
    const [m, k, n] = sizes(random, 3) as [number, number, number];
    const [transA, transB] = [random.below(2) === 1, random.below(2) === 1];
    return {
      shapes: [transA ? [k, m] : [m, k], transB ? [n, k] : [k, n], random.below(2) === 1 ? [n] : [m, 1]],
      build: (a, b, c) => ops.gemm(a, b, { transA, transB, alpha: 0.5, beta: 2, c: c }),
    };
  },
  conv: (random) => {
    const [batch, channels, outputs] = sizes(random, 3) as [number, number, number];
    const kernel = [1 + random.below(3), 1 + random.below(3)] as const;
    const strides = [1 + random.below(3), 1 + random.below(3)] as const;
    return {
      dtype: 'float32',
      shapes: [[batch, channels, 4 + size(random), 4 + size(random)], [outputs, channels, ...kernel], [outputs]],
      build: (x, weight, bias) => ops.conv2d(x, weight, { bias: bias, strides, pads: [1, 0, 0, 1] }),
    };
  },
  'layer normalization': (random) => {
    const width = 2 + size(random);
    return {
      shapes: [[size(random), 2, width], [width], [width]],
      build: (x, scale, bias) => ops.layerNormalization(x, scale, bias),
    };
  },
  'simplified layer normalization': (random) => {
    const width = 2 + size(random);
    return {
      shapes: [[size(random), 2, width], [width]],
      build: (x, scale) => ops.simplifiedLayerNormalization(x, scale),
    };
  },
  'rms norm': (random) => ({ shapes: [[2, size(random), 5], [5]], build: (x, scale) => nn.rmsNorm(x, scale) }),
  'layer norm': (random) => ({
    shapes: [[2, size(random), 5], [5], [5]],
    build: (x, scale, bias) => nn.layerNorm(x, scale, bias),
  }),
  'linear and silu': (random) => ({
    shapes: [[2, size(random), 3], [4, 3], [4]],
    build: (x, weight, bias) => nn.silu(nn.linear(x, weight, bias)),
  }),
  'grouped attention with a mask and rotation': (random) => {
    const [queries, keys] = [size(random), 1 + size(random)];
    return {
      shapes: [[2, 4, queries, 4], [2, 2, keys, 4], [2, 2, keys, 4], [1, 1, queries, 2]],
      build: (q, k, v, angle) => {
        const visible = Array.from({ length: queries * keys }, (_, index) => (index % keys <= 1 ? 1 : 0));
        const mask = q.graph.constant(visible, 'bool', [1, 1, queries, keys]);
        return nn.attention(nn.rotate(q, ops.sin(angle), ops.cos(angle)), k, v, { mask });
      },
    };
  },
};

const TRIALS = 4;
/** Differences per input: all elements of small ones, random elements of the others. */
const PROBES = 12;

function numbers(random: Random, count: number, { range = [-1, 1], apart = false }: Case): number[] {
  if (!apart) return Array.from({ length: count }, () => range[0] + (range[1] - range[0]) * random.uniform());
  // Distinct multiples of a step, never zero: far from every corner compared with the difference taken.
  return Array.from({ length: count }, (_, index) => (random.below(2) === 0 ? -1 : 1) * (0.1 + 0.013 * index + 0.3 * random.below(3)));
}

async function check(name: string, trial: number): Promise<void> {
  const random = new Random(`${name} ${trial}`);
  const drawn = cases[name]!(random);
  const dtype = (drawn.dtype ?? 'float64') as 'float32' | 'float64';
  const [Type, step, tolerance] = dtype === 'float64' ? [Float64Array, 1e-5, 1e-6] : [Float32Array, 1e-2, 3e-3];
  const graph = new GraphBuilder(name);
  const inputs = drawn.shapes.map((shape, index) => graph.input(`x${index}`, dtype, shape));
  const result = drawn.build(...inputs);
  // Random factors, so that an error in one element cannot hide behind another.
  const factors = Array.from({ length: elementCount(result.shape) }, () => 2 * random.uniform() - 1);
  const loss = ops.reduceSum(ops.mul(result, graph.constant(factors, dtype, result.shape)));
  gradients(loss, inputs).forEach((gradient, index) => {
    expect(gradient.shape, name).toEqual(drawn.shapes[index]);
    graph.output(`g${index}`, gradient);
  });
  graph.output('loss', loss);
  // Thousands of runs of a few elements: on this thread, without the messages of a session.
  const options = { device: 'cpu', threads: 1, config: {}, externalDirectory: undefined, state: {}, guards: [] } as const;
  const session = await OrtSession.create(encodeModel(graph).bytes, options);
  const feeds: Record<string, Tensor> = {};
  drawn.shapes.forEach((shape, index) => {
    const data = Type.from(numbers(random, elementCount(shape), drawn));
    feeds[`x${index}`] = { dtype, shape, data } as Tensor;
  });
  const lossAt = async (at: Tensors): Promise<number> =>
    Number((await session.run(at, ['loss'], {}))['loss']!.data[0]);
  const outputs = await session.run(feeds, inputs.map((_, index) => `g${index}`), {});
  for (const [index, shape] of drawn.shapes.entries()) {
    const data = feeds[`x${index}`]!.data as Float64Array;
    const computed = outputs[`g${index}`]!.data as Float64Array;
    const count = elementCount(shape);
    for (let probe = 0; probe < Math.min(PROBES, count); probe++) {
      const element = count <= PROBES ? probe : random.below(count);
      const before = data[element]!;
      data[element] = before + step;
      const above = await lossAt(feeds);
      data[element] = before - step;
      const below = await lossAt(feeds);
      data[element] = before;
      const measured = (above - below) / (2 * step);
      expect(Math.abs(computed[element]! - measured), `${name}: input ${index}, element ${element}`).toBeLessThan(
        tolerance * (1 + Math.abs(measured)),
      );
    }
  }
  await session.release();
}

describe('every rule agrees with central differences, on random shapes', () => {
  it.each(Object.keys(cases))('%s', async (name) => {
    for (let trial = 0; trial < TRIALS; trial++) await check(name, trial);
  });

  it('and every rule has a case', () => {
    const tried = new Set<string>();
    for (const [name, draw] of Object.entries(cases)) {
      const drawn = draw(new Random(name));
      const graph = new GraphBuilder(name);
      drawn.build(...drawn.shapes.map((shape, index) => graph.input(`x${index}`, drawn.dtype ?? 'float64', shape)));
      for (const { domain, opType } of graph.nodes) tried.add(domain === '' ? opType : `${domain}:${opType}`);
    }
    expect(Object.keys(rules).filter((rule) => !tried.has(rule))).toEqual([]);
  });
});
