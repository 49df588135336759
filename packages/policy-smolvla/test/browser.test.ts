import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { adamWSchedule, COEFFICIENTS, createSession, float32Tensor, type OnnxModel, type Tensor, type Tensors } from '@zk0/onnx-train';
import type * as OrtWeb from 'onnxruntime-web/webgpu';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chromiumPath, launch, SOFTWARE_WEBGPU } from '../../../browser.shared.ts';
import { buildTrainStepGraph, trainingState } from '../src/model/device-training.ts';
import { buildPrefixGraph } from '../src/model/graphs.ts';
import { nextName, type WeightSource } from '../src/model/graph-shape.ts';
import { trainedWeightSpecs } from '../src/model/weights.ts';
import { loadCase, relativeError } from './golden-files.ts';

const runtime = dirname(createRequire(import.meta.url).resolve('onnxruntime-web/webgpu'));
/** Loads onnxruntime for whatever a test then evaluates in the page. */
const PAGE = `<!doctype html><script type="module">
  import * as ort from '/ort/ort.webgpu.min.mjs';
  ort.env.wasm.wasmPaths = '/ort/';
  ort.env.wasm.numThreads = 1;
  globalThis.ort = ort;
</script>`;

/** A training of a few steps from fixed inputs, for whatever runs the graph. */
interface Training {
  readonly model: OnnxModel;
  /** Inputs that stay, with the output that renews each, as `createSession` takes them. */
  readonly state: Readonly<Record<string, string | null>>;
  readonly initial: Tensors;
  readonly batch: Tensors;
  /** Inputs of the optimiser, step by step. */
  readonly coefficients: readonly Tensor[];
}

/** What the training leaves: the loss of every step, and what the graph calls its state. */
interface Trained {
  readonly losses: readonly number[];
  readonly weights: Readonly<Record<string, Float32Array>>;
}

const golden = loadCase('cross-two-cameras');
const { betas, eps: epsilon, weight_decay: weightDecay, grad_clip_norm: maxGradientNorm, lr, steps } = golden.optimizer!;
const names = trainedWeightSpecs(golden.model).map(({ name }) => name);

/** The case's frozen weights in float32: onnxruntime-web has no conversion from bfloat16. */
const widened: WeightSource = (name) => {
  const { buffer, byteOffset, byteLength } = golden.floats(`weight/${name}`);
  return { dtype: 'float32', data: { bytes: new Uint8Array(buffer, byteOffset, byteLength) } };
};

/** LeRobot's case as the training step that a device runs: forward, backward, clipping and AdamW in one graph. */
async function trainingOf(): Promise<Training> {
  const options = {
    source: { from: 'cache', type: 'float32' }, optimizer: { betas, epsilon }, maxGradientNorm, proximal: false, correction: false, lossScaling: false,
  } as const;
  const model = buildTrainStepGraph(golden.model, golden.shape, widened, options);
  const weights = golden.weights(names);
  const zeros = ({ shape, data }: Tensor): Tensor => float32Tensor(new Float32Array(data.length), shape);
  const { data } = adamWSchedule({ betas, weightDecay }, Array.from({ length: steps }, () => lr), 1);
  return {
    model,
    state: trainingState(golden.model, options),
    initial: Object.fromEntries(
      Object.entries(weights).flatMap(([name, tensor]) => [[name, tensor], [`firstMoment/${name}`, zeros(tensor)], [`secondMoment/${name}`, zeros(tensor)]]),
    ),
    batch: { ...golden.inputs(model.inputs.keys()), ...(await prefixOf()) },
    coefficients: Array.from({ length: steps }, (_, step) =>
      float32Tensor((data as Float32Array).slice(step * COEFFICIENTS, (step + 1) * COEFFICIENTS), [COEFFICIENTS])),
  };
}

/** Keys and values of the frozen part, which every step of the case reads. */
async function prefixOf(): Promise<Tensors> {
  const graph = buildPrefixGraph(golden.model, golden.shape, golden.source);
  const imageTokens = float32Tensor(golden.floats('imageTokens'), graph.inputs.get('imageTokens')!.shape);
  const session = await createSession(graph, { threads: 1 });
  try {
    return await session.run({ ...golden.inputs(graph.inputs.keys()), imageTokens });
  } finally {
    await session.close();
  }
}

async function onProcessor({ model, state, initial, batch, coefficients }: Training): Promise<Trained> {
  const session = await createSession(model, { device: 'cpu', threads: 1, state });
  try {
    await session.setState(initial);
    const losses: number[] = [];
    for (const row of coefficients) losses.push(Number((await session.run({ ...batch, coefficients: row }))['loss']!.data[0]));
    const after = await session.getState(names);
    return { losses, weights: Object.fromEntries(names.map((name) => [name, after[name]!.data as Float32Array])) };
  } finally {
    await session.close();
  }
}

/** A tensor as a page can be given it. */
const plain = ({ dtype, shape, data }: Tensor): { type: string; dims: number[]; values: number[] } => ({
  type: dtype, dims: [...shape], values: Array.from(data as ArrayLike<number | bigint>, Number),
});
const plainAll = (tensors: Tensors): Record<string, ReturnType<typeof plain>> =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, plain(tensor)]));

/** The same in a page: weights and moments stay in the memory of the page's device from step to step. */
async function inPage(page: Page, { state, initial, batch, coefficients }: Training): Promise<Trained> {
  const renewed = Object.entries(state).flatMap(([input, output]) => (output === null ? [] : [[input, output] as const]));
  const task = { renewed, initial: plainAll(initial), batch: plainAll(batch), coefficients: coefficients.map(plain), wanted: names.map((name) => nextName('', name)) };
  const { losses, weights } = await page.evaluate(async ({ renewed: pairs, initial: start, batch: feeds, coefficients: rows, wanted }) => {
    const { ort } = globalThis as unknown as { ort: typeof OrtWeb };
    const tensor = ({ type, dims, values }: { type: string; dims: number[]; values: number[] }): OrtWeb.Tensor => {
      if (type === 'int64') return new ort.Tensor('int64', BigInt64Array.from(values, BigInt), dims);
      return type === 'bool' ? new ort.Tensor('bool', Uint8Array.from(values), dims) : new ort.Tensor('float32', Float32Array.from(values), dims);
    };
    const all = (tensors: typeof start): Record<string, OrtWeb.Tensor> => Object.fromEntries(Object.entries(tensors).map(([name, values]) => [name, tensor(values)]));
    const model = new Uint8Array(await (await fetch('/model.onnx')).arrayBuffer());
    const session = await ort.InferenceSession.create(model, {
      executionProviders: ['webgpu'],
      preferredOutputLocation: Object.fromEntries(pairs.map(([, output]) => [output, 'gpu-buffer' as const])),
      // The runtime refuses a graph of which any node would run on the processor.
      extra: { session: { disable_cpu_ep_fallback: '1' } },
    });
    const batchTensors = all(feeds);
    let current = all(start);
    const found: number[] = [];
    for (const row of rows) {
      const outputs = await session.run({ ...batchTensors, ...current, coefficients: tensor(row) });
      found.push(Number(outputs['loss']!.data[0]));
      for (const value of Object.values(current)) value.dispose();
      current = Object.fromEntries(pairs.map(([input, output]) => [input, outputs[output]!]));
    }
    const places = [...new Set(Object.values(current).map(({ location }) => location))];
    if (places.join() !== 'gpu-buffer') throw new Error(`weights and moments lie in ${places.join()}`);
    const after = Object.fromEntries(pairs.map(([input, output]) => [output, current[input]!]));
    const read = await Promise.all(wanted.map(async (name) => Array.from((await after[name]!.getData(true)) as Float32Array)));
    await session.release();
    return { losses: found, weights: read };
  }, task);
  return { losses, weights: Object.fromEntries(names.map((name, index) => [name, Float32Array.from(weights[index]!)])) };
}

// In the long form of the tests: SwiftShader takes half a minute to compile the step's shaders.
describe.skipIf(chromiumPath === undefined || process.env['ZK0_TESTS'] !== 'long')('in a browser (test-long; needs Chromium: apt-get install chromium, or ZK0_TEST_CHROMIUM)', { timeout: 120_000 }, () => {
  let server: Server;
  let browser: Browser;
  let training: Training;

  beforeAll(async () => {
    training = await trainingOf();
    server = createServer(({ url = '/' }, reply) => {
      if (url === '/') return reply.setHeader('content-type', 'text/html').end(PAGE);
      if (url === '/model.onnx') return reply.end(training.model.bytes);
      const type = url.endsWith('.wasm') ? 'application/wasm' : 'text/javascript';
      return url.startsWith('/ort/') ? reply.setHeader('content-type', type).end(readFileSync(join(runtime, basename(url)))) : reply.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    browser = await launch(SOFTWARE_WEBGPU);
  });

  afterAll(async () => {
    await browser.close();
    server.close();
  });

  it('trains on WebGPU as the processor and LeRobot do, every node of the step on the device', async () => {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await page.waitForFunction(() => 'ort' in globalThis);
    const [processor, browsers] = [await onProcessor(training), await inPage(page, training)];

    expect(browsers.losses).toHaveLength(steps);
    expect(relativeError(Float32Array.from(browsers.losses), Float32Array.from(processor.losses))).toBeLessThan(1e-5);
    expect(relativeError(Float32Array.of(browsers.losses[0]!), golden.floats('loss'))).toBeLessThan(1e-5);
    const moved = (weights: Trained['weights'], name: string): Float32Array => weights[name]!.map((value, at) => value - golden.floats(`weight/${name}`)[at]!);
    // Softmax does not feel a bias that all keys share: its gradient is rounding, and Adam's step is that noise, scaled up.
    for (const name of names.filter((each) => !each.endsWith('.k_proj.bias'))) {
      expect(relativeError(moved(browsers.weights, name), moved(processor.weights, name)), `${name}, the processor's`).toBeLessThan(0.02);
      expect(relativeError(browsers.weights[name]!, golden.floats(`step${steps}/${name}`)), `${name}, LeRobot's`).toBeLessThan(1e-4);
    }
  });
});
