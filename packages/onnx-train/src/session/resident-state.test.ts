import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeModel } from '../graph/encode-model.ts';
import { GraphBuilder } from '../graph/graph-builder.ts';
import * as ops from '../ops/index.ts';
import { createSession, type Session } from './session.ts';
import { float32Tensor, sharedTensor } from './tensor.ts';

describe("a session's state", () => {
  let session: Session;

  beforeEach(async () => {
    const graph = new GraphBuilder();
    const [sum, factor, x] = ['sum', 'factor', 'x'].map((name) => graph.input(name, 'float32', [2]));
    const next = ops.add(sum!, ops.mul(factor!, x!));
    graph.output('next', next);
    graph.output('largest', ops.reduceMax(next));
    session = await createSession(encodeModel(graph), { threads: 1, state: { sum: 'next', factor: null }, guards: ['largest'] });
  });

  afterEach(() => session.close());

  const pair = (a: number, b: number): ReturnType<typeof float32Tensor> => float32Tensor(Float32Array.of(a, b));

  it('is fed to every run and renewed by it', async () => {
    await session.setState({ sum: pair(0, 0), factor: pair(1, 10) });
    expect(await session.run({ x: pair(1, 2) })).toEqual({ largest: float32Tensor(Float32Array.of(20), []) });
    await session.run({ x: pair(1, 1) });
    expect(await session.getState()).toEqual({ sum: pair(2, 30), factor: pair(1, 10) });
    expect(await session.getState(['sum'])).toEqual({ sum: pair(2, 30) });
  });

  it('is a copy: what it was set from may change, what was read does not', async () => {
    const given = sharedTensor('float32', [2]);
    await session.setState({ sum: given, factor: pair(1, 1) });
    (given.data as Float32Array).fill(9);
    const before = await session.getState(['sum']);
    await session.run({ x: pair(3, 4) });
    expect(before['sum']!.data).toEqual(Float32Array.of(0, 0));
    expect((await session.getState(['sum']))['sum']!.data).toEqual(Float32Array.of(3, 4));
  });

  it('stays as it was when a run fails or is refused', async () => {
    await session.setState({ sum: pair(1, 2), factor: pair(1, 1) });
    await expect(session.run({})).rejects.toThrow(/input x is not fed/);
    await expect(session.run({ x: pair(1, 1), sum: pair(1, 1) })).rejects.toThrow(/no input sum/);
    expect((await session.getState(['sum']))['sum']).toEqual(pair(1, 2));
  });

  it('is not renewed by a run whose guards are not finite', async () => {
    await session.setState({ sum: pair(1, 2), factor: pair(1, 1) });
    expect((await session.run({ x: pair(1, Infinity) }))['largest']!.data[0]).toBe(Infinity);
    expect((await session.getState(['sum']))['sum']).toEqual(pair(1, 2));
    await session.run({ x: pair(1, 1) });
    expect((await session.getState(['sum']))['sum']).toEqual(pair(2, 3));
  });

  it('has to be set, with tensors that fit', async () => {
    await session.setState({ sum: pair(0, 0) });
    await expect(session.run({ x: pair(1, 1) })).rejects.toThrow(/no factor yet/);
    await expect(session.setState({ factor: float32Tensor(new Float32Array(3)) })).rejects.toThrow(/state factor is float32 \[3\]/);
    await expect(session.setState({ x: pair(1, 1) })).rejects.toThrow(/x is not part/);
    await expect(session.getState(['x'])).rejects.toThrow(/x is not part/);
  });
});
