import { createSession, type Tensor, type Tensors } from '@zk0/onnx-train';
import { describe, expect, it } from 'vitest';
import { gradientName } from '../src/model/graph-shape.ts';
import { buildFullTrainGraph } from '../src/model/graphs.ts';
import { trainedWeightSpecs } from '../src/model/weights.ts';
import { goldenCases, relativeError } from './golden-files.ts';

/** Half a unit in the last place of float16 is 5e-4; it adds up over a layer's products. */
const LOSS_TOLERANCE = 1e-3;
const GRADIENT_TOLERANCE = 5e-3;

const CASES = ['half-depth-cross', 'self-one-camera', 'trained-vision-half-depth'];

describe.each(goldenCases().filter(({ name }) => CASES.includes(name)))('$name with products in float16', (golden) => {
  it("has LeRobot's loss and gradients to 16 bits", { timeout: 240_000 }, async () => {
    const { model, shape, source } = golden;
    const graph = buildFullTrainGraph(model, shape, source, { products: 'float16' });
    const wanted = [...graph.inputs.keys()];
    const feeds: Tensors = { ...golden.inputs(wanted), ...golden.weights(wanted.filter((name) => golden.has(`weight/${name}`))) };
    const session = await createSession(graph, { threads: 1 });
    const outputs: Record<string, Tensor> = await session.run(feeds);
    await session.close();
    const floats = (name: string): Float32Array => outputs[name]!.data as Float32Array;
    expect(relativeError(floats('loss'), golden.floats('loss'))).toBeLessThan(LOSS_TOLERANCE);
    const names = trainedWeightSpecs(model).map(({ name }) => name);
    const all = (of: (name: string) => Float32Array): Float32Array => Float32Array.from(names.flatMap((name) => [...of(name)]));
    const error = relativeError(all((name) => floats(gradientName(name))), all((name) => golden.floats(`gradient/${name}`)));
    expect(error).toBeLessThan(GRADIENT_TOLERANCE);
    expect(error).toBeGreaterThan(1e-5);
  });
});
