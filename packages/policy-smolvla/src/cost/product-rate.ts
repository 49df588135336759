import { createSession, encodeModel, GraphBuilder, ops, sharedTensor } from '@zk0/onnx-train';

/** Sizes of a product: `[rows, inner] · [inner, columns]`. */
export type ProductSizes = readonly [rows: number, inner: number, columns: number];

/**
 * What onnxruntime's matrix product reaches on this machine's processor, in floating-point operations a second: the median of some
 * runs behind a first one.
 */
export async function measureProductRate([rows, inner, columns]: ProductSizes, threads: number, runs: number): Promise<number> {
  const graph = new GraphBuilder('product');
  const weight = graph.initializer('b', 'float32', [inner, columns], new Float32Array(inner * columns).fill(0.5));
  // One number out, so that the result's way back is not measured.
  graph.output('y', ops.reduceMax(ops.matMul(graph.input('a', 'float32', [rows, inner]), weight)));
  const session = await createSession(encodeModel(graph), { threads });
  const a = sharedTensor('float32', [rows, inner]);
  (a.data as Float32Array).fill(0.5);
  await session.run({ a });
  const seconds: number[] = [];
  for (let run = 0; run < runs; run++) {
    const begun = performance.now();
    await session.run({ a });
    seconds.push((performance.now() - begun) / 1000);
  }
  await session.close();
  return (2 * rows * inner * columns) / seconds.sort((x, y) => x - y)[seconds.length >> 1]!;
}
