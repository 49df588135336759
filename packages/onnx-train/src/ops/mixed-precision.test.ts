import { Random } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import { gradients } from '../autodiff/gradients.ts';
import { encodeModel, type OnnxModel } from '../graph/encode-model.ts';
import { GraphBuilder, type ProductType } from '../graph/graph-builder.ts';
import { decodeModelProto } from '../proto/onnx-schema.ts';
import { createSession } from '../session/session.ts';
import { float32Tensor } from '../session/tensor.ts';
import * as nn from './nn.ts';
import * as ops from './index.ts';

/** A layer with attention, its loss and gradients. */
function layer(products: ProductType): OnnxModel {
  const graph = new GraphBuilder('layer', { products });
  const x = graph.input('x', 'float32', [2, 6, 16]);
  const names = ['q', 'k', 'v', 'o'];
  const [q, k, v, o] = names.map((name) => graph.input(name, 'float32', [16, 16]));
  const bias = graph.input('bias', 'float32', [16]);
  const heads = (weight: typeof x): typeof x => nn.splitHeads(nn.linear(x, weight), 2);
  const attended = nn.mergeHeads(nn.attention(heads(q!), heads(k!), heads(v!)));
  const y = nn.linear(attended, o!, bias);
  const loss = ops.reduceMean(ops.mul(y, y));
  graph.output('loss', loss);
  gradients(loss, [q!, k!, v!, o!, bias]).forEach((gradient, index) => {
    expect(gradient.dtype).toBe('float32');
    graph.output(`d${[...names, 'bias'][index]!}`, gradient);
  });
  return encodeModel(graph);
}

function operators(model: OnnxModel): string[] {
  return decodeModelProto(model.bytes).graph.node.map(({ opType }) => opType);
}

describe('products in float16', () => {
  it('change results and gradients by what rounding to 16 bits does', async () => {
    const [half, whole] = [layer('float16'), layer('float32')];
    const random = new Random('mixed');
    const feeds = Object.fromEntries(
      [...whole.inputs].map(([name, { shape }]) => [name, float32Tensor(random.fillNormal(new Float32Array(shape.reduce((a, b) => a * b))), shape)]),
    );
    const run = async (model: OnnxModel): Promise<Record<string, Float32Array>> => {
      const session = await createSession(model, { threads: 1 });
      const outputs = await session.run(feeds);
      await session.close();
      return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data as Float32Array]));
    };
    const [found, wanted] = [await run(half), await run(whole)];
    for (const [name, values] of Object.entries(wanted)) {
      const size = Math.hypot(...values);
      const difference = Math.hypot(...values.map((value, index) => value - found[name]![index]!));
      expect(difference / size, name).toBeLessThan(5e-3);
      expect(difference / size, name).toBeGreaterThan(0);
    }
  });

  it('cast each weight once, and not what only moves between two products', () => {
    const counts = (model: OnnxModel, opType: string): number => operators(model).filter((found) => found === opType).length;
    expect(counts(layer('float32'), 'Cast')).toBe(0);
    const graph = new GraphBuilder('moves', { products: 'float16' });
    const [x, w] = [graph.input('x', 'float32', [4, 6]), graph.input('w', 'float32', [6, 6])];
    const first = ops.matMul(x, w);
    graph.output('y', ops.matMul(ops.reshape(ops.transpose(ops.reshape(first, [2, 2, 6]), [1, 0, 2]), [4, 6]), w));
    // Both inputs on their way in (the weight twice, which onnxruntime folds into one), and the last result.
    expect(operators(encodeModel(graph)).filter((opType) => opType === 'Cast')).toHaveLength(4);
  });

  it('leave products of other element types, and everything between products, as they are', () => {
    const graph = new GraphBuilder('types', { products: 'bfloat16' });
    const double = graph.input('double', 'float64', [2, 2]);
    expect(ops.matMul(double, double).dtype).toBe('float64');
    const x = graph.input('x', 'float32', [2, 2]);
    expect(ops.softmax(ops.matMul(x, x)).dtype).toBe('float32');
    expect(ops.gemm(x, x, { c: x }).producer!.opType).toBe('Add');
  });
});
