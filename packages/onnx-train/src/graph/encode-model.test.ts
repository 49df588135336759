import { encodeSafetensors } from '@zk0/core';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GraphError } from '../errors.ts';
import * as ops from '../ops/index.ts';
import { decodeModelProto } from '../proto/onnx-schema.ts';
import { createSession } from '../session/session.ts';
import { float32Tensor, type Tensor, type Tensors } from '../session/tensor.ts';
import { encodeModel } from './encode-model.ts';
import { GraphBuilder } from './graph-builder.ts';

async function runOnce(graph: GraphBuilder, feeds: Tensors): Promise<Record<string, Tensor>> {
  const session = await createSession(encodeModel(graph), { threads: 1 });
  try {
    return await session.run(feeds);
  } finally {
    await session.close();
  }
}

describe('a model', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'onnx-train-'));
  });
  afterAll(async () => {
    await rm(folder, { recursive: true });
  });

  it('computes what was written, numbers becoming constants', async () => {
    const graph = new GraphBuilder();
    const x = graph.input('x', 'float32', [2, 3]);
    graph.output('y', ops.matMul(ops.add(ops.mul(x, 2), 1), ops.transpose(x)));
    const { y } = await runOnce(graph, { x: float32Tensor(Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]) });
    expect(y!.shape).toEqual([2, 2]);
    expect([...y!.data]).toEqual([34, 79, 70, 169]);
  });

  it('leaves out what no output needs and writes a constant once', () => {
    const graph = new GraphBuilder();
    const x = graph.input('x', 'float32', [2]);
    ops.exp(x);
    graph.output('y', ops.add(ops.mul(x, 3), 3));
    const proto = decodeModelProto(encodeModel(graph).bytes);
    expect(proto.graph.node.map((node) => node.opType)).toEqual(['Mul', 'Add']);
    expect(proto.graph.initializer).toHaveLength(1);
  });

  it('can give an input, a constant, and one value twice as outputs', async () => {
    const graph = new GraphBuilder();
    const x = graph.input('x', 'float32', [1]);
    const y = ops.neg(x);
    graph.output('same', x);
    graph.output('constant', graph.constant(5, 'float32'));
    graph.output('a', y);
    graph.output('b', y);
    const result = await runOnce(graph, { x: float32Tensor(Float32Array.of(7)) });
    expect(Object.entries(result).map(([name, { data }]) => [name, ...data])).toEqual([
      ['same', 7],
      ['constant', 5],
      ['a', -7],
      ['b', -7],
    ]);
  });

  it('reads weights from inside safetensors files of several folders, through links', async () => {
    const tensor = (name: string, values: number[]): Uint8Array =>
      encodeSafetensors([
        { name: 'before', dtype: 'U8', shape: [8], data: new Uint8Array(8) },
        { name, dtype: 'F32', shape: [values.length], data: new Uint8Array(Float32Array.from(values).buffer) },
      ]);
    const other = await mkdtemp(join(folder, 'other-'));
    const first = tensor('w', [1, 2]);
    const second = tensor('v', [10, 20]);
    await writeFile(join(other, 'blob'), first);
    await symlink(join(other, 'blob'), join(folder, 'model.safetensors'));
    await writeFile(join(folder, 'second.safetensors'), second);
    const graph = new GraphBuilder();
    const x = graph.input('x', 'float32', [2]);
    const w = graph.externalInitializer('w', 'float32', [2], {
      path: join(folder, 'model.safetensors'),
      offset: first.byteLength - 8,
    });
    const v = graph.externalInitializer('v', 'float32', [2], {
      path: join(folder, 'second.safetensors'),
      offset: second.byteLength - 8,
    });
    graph.output('y', ops.add(ops.mul(x, w), v));
    const { y } = await runOnce(graph, { x: float32Tensor(Float32Array.of(3, 4)) });
    expect([...y!.data]).toEqual([13, 28]);
  });

  it('names the tensor whose external data are missing or too short', async () => {
    const path = join(folder, 'short.bin');
    await writeFile(path, new Uint8Array(10));
    for (const [file, offset] of [
      [path, 4],
      [join(folder, 'nowhere.bin'), 0],
    ] as const) {
      const graph = new GraphBuilder();
      graph.output('y', ops.neg(graph.externalInitializer('weight', 'float32', [2], { path: file, offset })));
      expect(() => encodeModel(graph)).toThrow(/initializer weight/);
    }
  });

  it('keeps values of unrelated graphs apart and names unique', () => {
    const graph = new GraphBuilder('one');
    const x = graph.input('x', 'float32', [1]);
    const stranger = new GraphBuilder('two').input('x', 'float32', [1]);
    expect(() => ops.add(x, stranger)).toThrow(/Add: value x belongs to graph two/);
    expect(() => graph.input('x', 'float32', [1])).toThrow(/name x is used twice/);
    expect(() => encodeModel(graph)).toThrow(GraphError);
  });
});
