import { encodeModel, GraphBuilder, int64Tensor, ops, type OnnxModel } from '@zk0/onnx-train';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tinyWorkspace } from '../../test/tiny-policy.ts';
import { openCheckpoint } from '../checkpoint/checkpoint.ts';
import { ModelRuntime } from './model-runtime.ts';

let workspace: Awaited<ReturnType<typeof tinyWorkspace>>;
let runtime: ModelRuntime;

beforeAll(async () => {
  workspace = await tinyWorkspace();
  const { config, weights } = await openCheckpoint(workspace.checkpoint);
  runtime = new ModelRuntime(config.model, weights, { device: 'cpu', threads: 1, precision: 'float32', takesFloat16: false, training: 'host' });
});
afterAll(async () => {
  await runtime.close();
  await workspace.remove();
});

/** The value at a position of two; onnxruntime fails beyond them. */
function lookup(): OnnxModel {
  const graph = new GraphBuilder();
  const at = graph.input('at', 'int64', [1]);
  graph.output('y', ops.gather(graph.constant([1, 2], 'float32'), at));
  return encodeModel(graph);
}
const valueAt = async (at: number): Promise<unknown> => [...(await (await runtime.session('lookup', false, lookup)).run({ at: int64Tensor([at]) }))['y']!.data];

it('begins with new sessions after a run that failed on the device, and keeps them after any other error', async () => {
  expect(await runtime.recovering(() => valueAt(1))).toEqual([2]);
  const first = await runtime.session('lookup', false, lookup);
  await expect(runtime.recovering(() => Promise.reject(new Error('of the caller')))).rejects.toThrow('of the caller');
  expect(await runtime.session('lookup', false, lookup)).toBe(first);
  await expect(runtime.recovering(() => valueAt(7))).rejects.toMatchObject({ code: 'RUN_FAILED' });
  await expect(first.run({ at: int64Tensor([1]) })).rejects.toMatchObject({ code: 'SESSION_CLOSED' });
  expect(await runtime.recovering(() => valueAt(0))).toEqual([1]);
});
