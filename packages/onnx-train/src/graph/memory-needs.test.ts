import { describe, expect, it } from 'vitest';
import { differentiate } from '../autodiff/differentiate.ts';
import * as ops from '../ops/index.ts';
import { encodeModel } from './encode-model.ts';
import { GraphBuilder } from './graph-builder.ts';

const KB = 1024;

describe('what running a model takes', () => {
  it('counts a value from when it is made to its last use', () => {
    const graph = new GraphBuilder();
    const x = graph.input('x', 'float32', [16, 16]);
    // A product cannot be written over what it reads: two values are alive at any time, however many there are.
    const chain = Array.from({ length: 8 }).reduce<typeof x>((value) => ops.matMul(value, x), x);
    graph.output('y', chain);
    expect(encodeModel(graph).memory).toEqual({ weights: 0, inputs: KB, computed: 2 * KB });
  });

  it('counts what is kept for the backward pass, which parts of a batch share', () => {
    const needs = (parts: number): number => {
      const graph = new GraphBuilder();
      const [x, w] = [graph.input('x', 'float32', [64, 16, 16]), graph.input('w', 'float32', [16, 16])];
      const share = (part: typeof x | undefined): typeof x => {
        const rows = part === undefined ? x : ops.gather(ops.reshape(x, [parts, 64 / parts, 16, 16]), part);
        const layers = Array.from({ length: 6 }).reduce<typeof x>((value) => ops.tanh(ops.matMul(value, w)), rows);
        return ops.reduceSum(ops.mul(layers, layers));
      };
      differentiate(graph, [w], share, { parts }).gradients.forEach((gradient) => {
        graph.output('dw', gradient);
      });
      return encodeModel(graph).memory.computed;
    };
    const [whole, halves, eighths] = [needs(1), needs(2), needs(8)];
    // Six layers of [64, 16, 16] are kept.
    expect(whole).toBeGreaterThan(6 * 64 * KB);
    expect(whole).toBeLessThan(12 * 64 * KB);
    expect(halves).toBeLessThan(0.75 * whole);
    expect(eighths).toBeLessThan(0.75 * halves);
  });

  it('counts data of 16 bits as what they become', () => {
    const graph = new GraphBuilder();
    const w = graph.initializer('w', 'bfloat16', [16, 16], new Uint8Array(512));
    graph.output('y', ops.add(ops.cast(w, 'float32'), graph.input('x', 'float32', [1])));
    expect(encodeModel(graph).memory.weights).toBe(KB);
  });
});
