import { createSession, encodeModel, float32Tensor, GraphBuilder } from '@zk0/onnx-train';
import { describe, expect, it } from 'vitest';
import { smallConfig } from '../../test/model-config.ts';
import { timeEmbedding, timeEmbeddings } from './time-embedding.ts';

describe('the time embedding', () => {
  it('goes from the longest period to the shortest, sines before cosines', () => {
    const embedding = timeEmbedding({ ...smallConfig, minPeriod: 0.25, maxPeriod: 4 }, 0.5);
    const half = embedding.length / 2;
    expect(embedding[0]).toBeCloseTo(Math.sin(2 * Math.PI * 2), 12);
    expect(embedding[half - 1]).toBeCloseTo(Math.sin((2 * Math.PI) / 8), 12);
    expect(embedding[half]).toBeCloseTo(1, 12);
  });

  it.each([
    [4e-3, 4],
    [1e-4, 10],
    [0.3, 0.7],
  ])('is as exact in a float32 graph as in float64, with periods %f to %f', async (minPeriod, maxPeriod) => {
    const config = { ...smallConfig, minPeriod, maxPeriod };
    const times = Float32Array.from({ length: 257 }, (_, index) => (index === 256 ? 1 : (index * 0.618034) % 1));
    const graph = new GraphBuilder();
    graph.output('embeddings', timeEmbeddings(config, graph.input('time', 'float32', [times.length])));
    const session = await createSession(encodeModel(graph), { threads: 1 });
    const { embeddings } = await session.run({ time: float32Tensor(times) });
    await session.close();
    const expected = [...times].flatMap((time) => timeEmbedding(config, time));
    const worst = expected.reduce((most, value, index) => Math.max(most, Math.abs(value - Number(embeddings!.data[index]))), 0);
    expect(worst).toBeLessThan(2e-6);
  });
});
