import { describe, expect, it } from 'vitest';
import { GraphError } from '../errors.ts';
import type { DataType } from '../graph/data-type.ts';
import { encodeModel } from '../graph/encode-model.ts';
import { GraphBuilder } from '../graph/graph-builder.ts';
import type { Value } from '../graph/value.ts';
import { decodeModelProto } from '../proto/onnx-schema.ts';
import { createSession } from '../session/session.ts';
import { float32Tensor } from '../session/tensor.ts';
import * as nn from './nn.ts';
import * as ops from './index.ts';

function values(...shapes: (readonly number[])[]): Value[] {
  const graph = new GraphBuilder();
  return shapes.map((shape, index) => graph.input(`x${index}`, 'float32', shape));
}

describe('an operator that cannot be', () => {
  it.each<[string, (readonly number[])[], (...inputs: Value[]) => unknown, RegExp]>([
    ['shapes that do not broadcast', [[2, 3], [2]], (a, b) => ops.add(a, b), /Add: shapes \[2, 3\] and \[2\]/],
    ['unequal inner sizes', [[2, 3], [4, 5]], (a, b) => ops.matMul(a, b), /MatMul: inner sizes 3 and 4/],
    ['a vector in a matrix product', [[3], [3, 2]], (a, b) => ops.matMul(a, b), /MatMul: .* two axes/],
    ['a batch in a Gemm', [[2, 2, 2], [2, 2]], (a, b) => ops.gemm(a, b), /Gemm: .* matrices/],
    ['too large a bias', [[2, 2], [2, 2], [3, 2, 2]], (a, b, c) => ops.gemm(a, b, { c: c }), /Gemm/],
    ['another number of elements', [[2, 3]], (x) => ops.reshape(x, [4, -1]), /Reshape: \[2, 3\] cannot become \[4, -1\]/],
    ['an axis too many', [[2]], (x) => ops.softmax(x, 1), /Softmax: axis 1 of a tensor with 1 axes/],
    ['an axis twice', [[2, 2]], (x) => ops.reduceSum(x, { axes: [0, -2] }), /ReduceSum: axes \[0, -2\] repeat/],
    ['no permutation', [[2, 2]], (x) => ops.transpose(x, [0, 0]), /Transpose: \[0, 0\]/],
    ['squeezing two elements', [[2]], (x) => ops.squeeze(x, [0]), /Squeeze: axis 0/],
    ['expanding two elements', [[2]], (x) => ops.expand(x, [3]), /Expand: /],
    ['pieces that do not add up', [[5]], (x) => ops.split(x, 0, [2, 2]), /Split: axis 0 of \[5\] into \[2, 2\]/],
    ['a slice backwards', [[5]], (x) => ops.slice(x, 0, 3, 2), /Slice: 3 … 2/],
    ['unlike shapes in a row', [[2, 2], [3, 3]], (...all) => ops.concat(all, 0), /Concat: shapes/],
    ['a kernel of other channels', [[1, 2, 4, 4], [1, 3, 2, 2]], (x, w) => ops.conv2d(x, w), /Conv: image/],
    ['a scale of another width', [[2, 4], [3]], (x, s) => ops.simplifiedLayerNormalization(x, s), /parameter \[3\]/],
    ['indices that are no integers', [[2], [1]], (x, i) => ops.gather(x, i), /Gather: x1 is float32, not int64/],
    ['a condition that is no bool', [[2]], (x) => ops.where(x, 1, x), /Where: x0 is float32, not bool/],
  ])('is refused by name: %s', (_what, shapes, build, message) => {
    expect(() => build(...values(...shapes))).toThrow(GraphError);
    expect(() => build(...values(...shapes))).toThrow(message);
  });

  it('is refused for mixed element types, with what to do', () => {
    const graph = new GraphBuilder();
    const [a, b] = (['float32', 'int64'] as DataType[]).map((dtype) => graph.input(dtype, dtype, [1]));
    expect(() => ops.add(a!, b!)).toThrow(expect.objectContaining({ hint: expect.stringContaining('cast') as string }) as Error);
  });
});

describe('loops', () => {
  it('hand a state on and collect values; work that does not depend on the iteration stays outside', async () => {
    const graph = new GraphBuilder();
    const x = graph.input('x', 'float32', [2]);
    const { state, scans } = ops.loop(graph, 3, [x], ({ iteration, state: [y] }) => {
      const outside = ops.exp(ops.mul(x, 0));
      return { state: [ops.add(ops.mul(y!, 2), outside)], scans: [ops.mul(y!, ops.cast(iteration, 'float32'))] };
    });
    graph.output('y', state[0]!);
    graph.output('all', scans[0]!);
    const proto = decodeModelProto(encodeModel(graph).bytes);
    expect(proto.graph.node.map(({ opType }) => opType)).toEqual(['Mul', 'Exp', 'Loop']);
    const session = await createSession(encodeModel(graph), { threads: 1 });
    const { y, all } = await session.run({ x: float32Tensor(Float32Array.of(1, 2)) });
    await session.close();
    expect([...y!.data]).toEqual([15, 23]);
    expect(all!.shape).toEqual([3, 2]);
    expect([...all!.data]).toEqual([0, 0, 3, 5, 14, 22]);
  });

  it('refuse a state that changes its shape', () => {
    const [x] = values([2]);
    expect(() => ops.loop(x!.graph, 2, [x!], ({ state: [y] }) => ({ state: [ops.concat([y!, y!], 0)] }))).toThrow(
      /Loop: state 0 goes in as float32 \[2\] and comes out as float32 \[4\]/,
    );
  });
});

describe('fused and composed forms', () => {
  it('of one norm compute the same', async () => {
    const graph = new GraphBuilder();
    const x = graph.input('x', 'float32', [3, 8]);
    const scale = graph.input('scale', 'float32', [8]);
    const bias = graph.input('bias', 'float32', [8]);
    graph.output('rms', nn.rmsNorm(x, scale));
    graph.output('rms fused', ops.simplifiedLayerNormalization(x, scale));
    graph.output('layer', nn.layerNorm(x, scale, bias));
    graph.output('layer fused', ops.layerNormalization(x, scale, bias));
    const session = await createSession(encodeModel(graph), { threads: 1 });
    const numbers = (count: number): Float32Array => Float32Array.from({ length: count }, (_, i) => Math.sin(3 * i) + 0.2);
    const found = await session.run({
      x: float32Tensor(numbers(24), [3, 8]),
      scale: float32Tensor(numbers(8)),
      bias: float32Tensor(numbers(8)),
    });
    await session.close();
    for (const name of ['rms', 'layer']) {
      found[name]!.data.forEach((value, index) => {
        expect(Number(value)).toBeCloseTo(Number(found[`${name} fused`]!.data[index]), 5);
      });
    }
  });
});
