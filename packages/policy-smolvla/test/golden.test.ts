import { createSession, type OnnxModel, type Tensors } from '@zk0/onnx-train';
import { describe, expect, it } from 'vitest';
import {
  buildEvaluateGraph,
  buildFullEvaluateGraph,
  buildFullSampleGraph,
  buildFullTrainGraph,
  buildPrefixGraph,
  buildSampleGraph,
  buildTrainGraph,
  buildVisionGraph,
} from '../src/model/graphs.ts';
import { gradientName } from '../src/model/graph-shape.ts';
import { trainedWeightSpecs, weightSpecs } from '../src/model/weights.ts';
import { goldenCases, relativeError, type GoldenCase } from './golden-files.ts';

const LOSS_TOLERANCE = 1e-5;
const GRADIENT_TOLERANCE = 1e-4;
const ACTIVATION_TOLERANCE = 1e-5;

async function runOnce(model: OnnxModel, feeds: Tensors): Promise<Record<string, Float32Array>> {
  const session = await createSession(model, { threads: 1 });
  try {
    const outputs = await session.run(feeds);
    return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, tensor.data as Float32Array]));
  } finally {
    await session.close();
  }
}

/** Feeds a graph from a case: its inputs, the weights it asks for, and what other graphs computed. */
function feedsOf(golden: GoldenCase, model: OnnxModel, computed: Tensors = {}): Tensors {
  const wanted = [...model.inputs.keys()];
  const inputs = golden.inputs(wanted);
  const weights = golden.weights(wanted.filter((name) => golden.has(`weight/${name}`)));
  return { ...inputs, ...weights, ...computed };
}

/** The outputs of the vision and prefix graphs, ready to be fed on. */
async function runPrefix(golden: GoldenCase): Promise<{ imageTokens: Float32Array; prefix: Tensors }> {
  const { batch, cameras } = golden.shape;
  const vision = buildVisionGraph(golden.model, batch * cameras, golden.source);
  const side = golden.model.imageSize;
  const images = { dtype: 'float32' as const, shape: [batch * cameras, 3, side, side], data: golden.floats('input/images') };
  const { imageTokens } = await runOnce(vision, { images });
  const graph = buildPrefixGraph(golden.model, golden.shape, golden.source);
  const tokens = { dtype: 'float32' as const, shape: graph.inputs.get('imageTokens')!.shape, data: imageTokens! };
  const session = await createSession(graph, { threads: 1 });
  const prefix = await session.run(feedsOf(golden, graph, { imageTokens: tokens }));
  await session.close();
  return { imageTokens: imageTokens!, prefix };
}

function expectGradients(golden: GoldenCase, outputs: Record<string, Float32Array>): void {
  const errors = trainedWeightSpecs(golden.model)
    .map(({ name }) => [name, relativeError(outputs[gradientName(name)]!, golden.floats(`gradient/${name}`))] as const)
    .filter(([, error]) => !(error < GRADIENT_TOLERANCE));
  expect(errors).toEqual([]);
}

describe.each(goldenCases())('$name, as LeRobot computes it', (golden) => {
  const { model, shape } = golden;

  it('has the same tensors and trains the same of them', () => {
    const specs = weightSpecs(model);
    expect(Object.fromEntries(specs.map(({ name, shape: size }) => [name, size]))).toEqual(golden.tensors);
    expect(specs.filter(({ trained }) => trained).map(({ name }) => name).sort()).toEqual(golden.under('gradient/').sort());
  });

  it('gives the loss and every gradient from images', async () => {
    const graph = buildFullTrainGraph(model, shape, golden.source);
    const outputs = await runOnce(graph, feedsOf(golden, graph));
    expect(relativeError(outputs['loss']!, golden.floats('loss'))).toBeLessThan(LOSS_TOLERANCE);
    expectGradients(golden, outputs);
  });

  it('gives the loss from images, in parts', async () => {
    const graph = buildFullEvaluateGraph(model, shape, golden.source);
    const { loss, lossSum, lossCount } = await runOnce(graph, feedsOf(golden, graph));
    expect(relativeError(loss!, golden.floats('loss'))).toBeLessThan(LOSS_TOLERANCE);
    expect(lossSum![0]! / lossCount![0]!).toBeCloseTo(loss![0]!, 5);
  });

  it.runIf(golden.has('actions'))('samples the same actions from images', async () => {
    const graph = buildFullSampleGraph(model, shape, golden.source);
    const { actions } = await runOnce(graph, feedsOf(golden, graph));
    expect(relativeError(actions!, golden.floats('actions'))).toBeLessThan(ACTIVATION_TOLERANCE);
  });

  it.runIf(model.trainExpertOnly)('gives all of it from a cached prefix', async () => {
    const { imageTokens, prefix } = await runPrefix(golden);
    expect(relativeError(imageTokens, golden.floats('imageTokens'))).toBeLessThan(ACTIVATION_TOLERANCE);

    const train = buildTrainGraph(model, shape, golden.source);
    const outputs = await runOnce(train, feedsOf(golden, train, prefix));
    expect(relativeError(outputs['loss']!, golden.floats('loss'))).toBeLessThan(LOSS_TOLERANCE);
    expectGradients(golden, outputs);

    const evaluate = buildEvaluateGraph(model, shape, golden.source);
    expect((await runOnce(evaluate, feedsOf(golden, evaluate, prefix)))['loss']).toEqual(outputs['loss']);

    if (!golden.has('actions')) return;
    const sample = buildSampleGraph(model, shape, golden.source);
    const { actions } = await runOnce(sample, feedsOf(golden, sample, prefix));
    expect(relativeError(actions!, golden.floats('actions'))).toBeLessThan(ACTIVATION_TOLERANCE);
  });
});
