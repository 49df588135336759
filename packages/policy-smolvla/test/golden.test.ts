import { adamWSchedule, createSession, float32Tensor, Optimizer, sharedTensor, type OnnxModel, type Tensor, type Tensors } from '@zk0/onnx-train';
import { describe, expect, it } from 'vitest';
import { gradientName, nextName } from '../src/model/graph-shape.ts';
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
import { buildTrainLoopGraph, type DeviceTrainingOptions } from '../src/model/device-training.ts';
import { trainedWeightSpecs, weightSpecs } from '../src/model/weights.ts';
import { goldenCases, relativeError, type GoldenCase } from './golden-files.ts';

const LOSS_TOLERANCE = 1e-5;
const GRADIENT_TOLERANCE = 1e-4;
const ACTIVATION_TOLERANCE = 1e-5;
const STEPPED_TOLERANCE = 1e-4;
/** Of the way that a weight went, which is itself a small difference of large numbers. */
const MOVE_TOLERANCE = 0.02;

const cases = goldenCases();

/** Cases that run through the cached prefix, graph by graph; the others run from images in one graph. */
const CACHED = ['cross-two-cameras', 'one-camera-one-empty', 'special-tokens-one-empty'];
/** Cases whose batch is computed in parts, too: from what is cached, and from images. */
const PARTED = ['cross-two-cameras', 'trained-vision-half-depth'];
const cached = cases.filter(({ name }) => CACHED.includes(name));
const whole = cases.filter(({ name }) => !CACHED.includes(name));

async function withSession<T>(model: OnnxModel, use: (run: (feeds: Tensors) => Promise<Record<string, Tensor>>) => Promise<T>): Promise<T> {
  const session = await createSession(model, { threads: 1 });
  try {
    return await use((feeds) => session.run(feeds));
  } finally {
    await session.close();
  }
}

function runOnce(model: OnnxModel, feeds: Tensors): Promise<Record<string, Tensor>> {
  return withSession(model, (run) => run(feeds));
}

function floats(tensors: Tensors, name: string): Float32Array {
  return tensors[name]!.data as Float32Array;
}

/** Feeds a graph from a case: its inputs, the weights it asks for, and what other graphs computed. */
function feedsOf(golden: GoldenCase, model: OnnxModel, computed: Tensors = {}): Tensors {
  const wanted = [...model.inputs.keys()];
  const weights = golden.weights(wanted.filter((name) => golden.has(`weight/${name}`)));
  return { ...golden.inputs(wanted), ...weights, ...computed };
}

/**
 * Compares every gradient. Some are 0 in exact arithmetic (a key's bias moves all scores of a query alike), so that what
 * either side computes is rounding: errors are measured against at least 1e-4 of the whole gradient's norm.
 */
function expectGradients(golden: GoldenCase, outputs: Tensors, prefix = 'gradient/'): void {
  const names = trainedWeightSpecs(golden.model).map(({ name }) => name);
  const squares = names.map((name) => golden.floats(`${prefix}${name}`).reduce((sum, value) => sum + value * value, 0));
  const floor = 1e-4 * Math.sqrt(squares.reduce((sum, square) => sum + square, 0));
  const errors = names
    .map((name) => [name, relativeError(floats(outputs, gradientName(name)), golden.floats(`${prefix}${name}`), floor)] as const)
    .filter(([, error]) => !(error < GRADIENT_TOLERANCE));
  expect(errors).toEqual([]);
}

function expectEvaluation(golden: GoldenCase, outputs: Tensors): void {
  const mean = floats(outputs, 'lossSum')[0]! / floats(outputs, 'lossCount')[0]!;
  for (const loss of [floats(outputs, 'loss'), Float32Array.of(mean)]) {
    expect(relativeError(loss, golden.floats('loss'))).toBeLessThan(LOSS_TOLERANCE);
  }
}

const prefixes = new Map<GoldenCase, Promise<Tensors>>();

/** The prefix of a case, computed once. */
function cachedPrefix(golden: GoldenCase): Promise<Tensors> {
  const known = prefixes.get(golden) ?? computePrefix(golden);
  prefixes.set(golden, known);
  return known;
}

/** The vision and prefix graphs' outputs, each checked. */
async function computePrefix(golden: GoldenCase): Promise<Tensors> {
  const { model, shape, source } = golden;
  const { batch, cameras } = shape;
  const vision = buildVisionGraph(model, batch * cameras, source);
  const images: Tensor = { dtype: 'float32', shape: vision.inputs.get('images')!.shape, data: golden.floats('input/images') };
  const { imageTokens } = await runOnce(vision, { images });
  expect(relativeError(imageTokens!.data as Float32Array, golden.floats('imageTokens'))).toBeLessThan(ACTIVATION_TOLERANCE);
  const graph = buildPrefixGraph(model, shape, source);
  const tokens = { ...imageTokens!, shape: graph.inputs.get('imageTokens')!.shape } as Tensor;
  return runOnce(graph, feedsOf(golden, graph, { imageTokens: tokens }));
}

type Weights = Readonly<Record<string, Float32Array>>;

/** Compares the weights after some steps, and the way they went from `start`. */
function expectStepped(golden: GoldenCase, step: number, weights: Weights, start: Weights): void {
  const wrong = Object.keys(weights).filter((name) => {
    // Softmax does not feel a bias that all keys share: its gradient is rounding, and Adam's step is that noise, scaled up.
    if (name.endsWith('.k_proj.bias')) return false;
    const expected = golden.floats(`step${step}/${name}`);
    const moved = expected.map((value, at) => value - start[name]![at]!);
    const ours = weights[name]!.map((value, at) => value - start[name]![at]!);
    // Adam divides by the gradient's own size, so rounding in a tiny gradient can turn its whole step around.
    return !(relativeError(weights[name]!, expected) < STEPPED_TOLERANCE && relativeError(ours, moved) < MOVE_TOLERANCE);
  });
  expect(wrong).toEqual([]);
}

/** A policy whose language model is trained starts from images; the others from what is cached of them. */
function inLoop({ model }: GoldenCase): Pick<DeviceTrainingOptions, 'source' | 'proximal' | 'correction' | 'lossScaling'> {
  const source = model.trainExpertOnly ? ({ from: 'cache', type: 'float32' } as const) : ({ from: 'images' } as const);
  return { source, proximal: true, correction: false, lossScaling: false };
}

/** The same batch for every step, the case's weights as start and reference, moments of 0. */
async function loopFeeds(golden: GoldenCase, graph: OnnxModel, steps: number): Promise<Tensors> {
  const frozen = golden.model.trainExpertOnly ? await cachedPrefix(golden) : {};
  const batch = { ...golden.inputs(graph.inputs.keys()), ...frozen };
  const weights = golden.weights(trainedWeightSpecs(golden.model).map(({ name }) => name));
  const zeros = (tensor: Tensor): Tensor => float32Tensor(new Float32Array(tensor.data.length), tensor.shape);
  return Object.fromEntries([
    ...Object.entries(batch).map(([name, tensor]) => [name, repeated(tensor, steps)] as const),
    ...Object.entries(weights).flatMap(([name, tensor]) => [
      [name, tensor] as const,
      [`reference/${name}`, tensor] as const,
      [`firstMoment/${name}`, zeros(tensor)] as const,
      [`secondMoment/${name}`, zeros(tensor)] as const,
    ]),
  ]);
}

function repeated(tensor: Tensor, times: number): Tensor {
  const result = sharedTensor(tensor.dtype, [times, ...tensor.shape]);
  for (let at = 0; at < result.data.length; at++) result.data[at] = tensor.data[at % tensor.data.length]!;
  return result;
}

/** The case's steps in one run, whose first loss and gradient are checked; the weights after them. */
async function trainedInLoop(golden: GoldenCase, more: Partial<DeviceTrainingOptions> = {}): Promise<Weights> {
  const { lr, betas, eps: epsilon, weight_decay: weightDecay, grad_clip_norm: maxGradientNorm, steps } = golden.optimizer!;
  const options = { ...inLoop(golden), steps, optimizer: { betas, epsilon }, maxGradientNorm, ...more };
  const graph = buildTrainLoopGraph(golden.model, golden.shape, golden.source, options);
  const outputs = await runOnce(graph, {
    ...(await loopFeeds(golden, graph, steps)),
    mu: float32Tensor(new Float32Array(1), []),
    schedule: adamWSchedule({ betas, weightDecay }, Array.from({ length: steps }, () => lr), 1),
  });
  expect(relativeError(floats(outputs, 'loss').slice(0, 1), golden.floats('loss'))).toBeLessThan(LOSS_TOLERANCE);
  expect(relativeError(floats(outputs, 'gradientNorm').slice(0, 1), golden.floats('gradientNorm'))).toBeLessThan(LOSS_TOLERANCE);
  return Object.fromEntries(trainedWeightSpecs(golden.model).map(({ name }) => [name, floats(outputs, nextName('', name))]));
}

describe.each(cases)('$name, as LeRobot lays it out', (golden) => {
  const { model, tensors } = golden;

  it('has the same tensors and trains the same of them', () => {
    const specs = weightSpecs(model);
    expect(Object.fromEntries(specs.map(({ name, shape: size }) => [name, size]))).toEqual(tensors);
    expect(specs.filter(({ trained }) => trained).map(({ name }) => name).sort()).toEqual(golden.under('gradient/').sort());
  });

});

describe.each(whole)('$name, as LeRobot computes it', (golden) => {
  const { model, shape } = golden;

  it('gives the loss and every gradient', async () => {
    const graph = buildFullTrainGraph(model, shape, golden.source);
    const outputs = await runOnce(graph, feedsOf(golden, graph));
    expect(relativeError(floats(outputs, 'loss'), golden.floats('loss'))).toBeLessThan(LOSS_TOLERANCE);
    expectGradients(golden, outputs);
  });

  it.runIf(golden.has('actions'))('samples the same actions', async () => {
    const graph = buildFullSampleGraph(model, shape, golden.source);
    const outputs = await runOnce(graph, feedsOf(golden, graph));
    expect(relativeError(floats(outputs, 'actions'), golden.floats('actions'))).toBeLessThan(ACTIVATION_TOLERANCE);
  });
});

describe.each(whole.slice(0, 1))('$name from images', (golden) => {
  it('evaluates to the training loss', async () => {
    const graph = buildFullEvaluateGraph(golden.model, golden.shape, golden.source);
    expectEvaluation(golden, await runOnce(graph, feedsOf(golden, graph)));
  });
});

describe.each(cases.filter(({ name }) => PARTED.includes(name)))('$name, one sample of the batch after the other', (golden) => {
  const { model, shape, optimizer: preset } = golden;
  const parts = shape.batch;

  it('gives the same loss and gradients', async () => {
    expect(parts).toBeGreaterThan(1);
    const build = model.trainExpertOnly ? buildTrainGraph : buildFullTrainGraph;
    const graph = build(model, shape, golden.source, { parts });
    const outputs = await runOnce(graph, feedsOf(golden, graph, model.trainExpertOnly ? await cachedPrefix(golden) : {}));
    expect(relativeError(floats(outputs, 'loss'), golden.floats('loss'))).toBeLessThan(LOSS_TOLERANCE);
    expectGradients(golden, outputs);
  });

  it.runIf(preset !== null)('has the same weights after all steps in one run', async () => {
    const names = trainedWeightSpecs(model).map(({ name }) => name);
    const after = await trainedInLoop(golden, { parts });
    expectStepped(golden, preset!.steps, after, Object.fromEntries(names.map((name) => [name, golden.floats(`weight/${name}`)])));
  });
});

describe('the loss of LeRobot 0.5', () => {
  it('counts the same errors, divided by every step', async () => {
    const golden = cases.find(({ name }) => name === 'half-depth-self')!;
    const graph = buildFullEvaluateGraph({ ...golden.model, lossReduction: 'zeroed' }, golden.shape, golden.source);
    const feeds = feedsOf(golden, graph);
    const outputs = await runOnce(graph, feeds);
    const steps = feeds['actionIsPad']!.data as Uint8Array;
    const inside = steps.filter((isPad) => isPad === 0).length;
    const expected = (golden.floats('loss')[0]! * inside) / steps.length;
    expect(inside).toBeLessThan(steps.length);
    expect(relativeError(floats(outputs, 'loss'), Float32Array.of(expected))).toBeLessThan(LOSS_TOLERANCE);
  });
});

describe.each(cached)('$name through a cached prefix, as LeRobot computes it from images', (golden) => {
  const { model, shape } = golden;

  it('gives the same loss, gradients, evaluation and actions', async () => {
    const prefix = await cachedPrefix(golden);
    const train = buildTrainGraph(model, shape, golden.source);
    const outputs = await runOnce(train, feedsOf(golden, train, prefix));
    expect(relativeError(floats(outputs, 'loss'), golden.floats('loss'))).toBeLessThan(LOSS_TOLERANCE);
    expectGradients(golden, outputs);

    const evaluate = buildEvaluateGraph(model, shape, golden.source);
    expectEvaluation(golden, await runOnce(evaluate, feedsOf(golden, evaluate, prefix)));

    const inOne = buildTrainGraph(model, shape, golden.source, { fromTokens: true });
    const imageTokens = float32Tensor(golden.floats('imageTokens'), inOne.inputs.get('imageTokens')!.shape);
    const fromTokens = await runOnce(inOne, feedsOf(golden, inOne, { imageTokens }));
    expect(relativeError(floats(fromTokens, 'loss'), golden.floats('loss'))).toBeLessThan(LOSS_TOLERANCE);
    expectGradients(golden, fromTokens);

    const sample = buildSampleGraph(model, shape, golden.source);
    const { actions } = await runOnce(sample, feedsOf(golden, sample, prefix));
    expect(relativeError(actions!.data as Float32Array, golden.floats('actions'))).toBeLessThan(ACTIVATION_TOLERANCE);
  });
});

describe.each(cases.filter(({ optimizer }) => optimizer !== null))('$name, trained as LeRobot trains it', (golden) => {
  const { model, shape, optimizer: preset, proximalMu } = golden;

  it('has the same weights after 1 step and after all', async () => {
    const { lr, betas, eps: epsilon, weight_decay: weightDecay, grad_clip_norm: maxGradientNorm, steps } = preset!;
    const graph = buildFullTrainGraph(model, shape, golden.source);
    const feeds = feedsOf(golden, graph);
    const names = trainedWeightSpecs(model).map(({ name }) => name);
    const record = (of: (name: string) => Float32Array): Record<string, Float32Array> =>
      Object.fromEntries(names.map((name) => [name, of(name)]));
    const weights = record((name) => floats(feeds, name));
    const start = record((name) => weights[name]!.slice());
    const gradients = record((name) => new Float32Array(weights[name]!.length));
    const settings = { weights, gradients, maxGradientNorm };
    const adamW = new Optimizer({ ...settings, rule: { kind: 'adamw', betas, epsilon, weightDecay } });

    const expectWeights = (step: number): void => {
      expectStepped(golden, step, weights, start);
    };

    /** FedProx's term, with the weights before the first step as the reference. */
    const expectProximal = async (policyLoss: Float32Array): Promise<void> => {
      const copies = { weights: record((name) => weights[name]!.slice()), gradients: record((name) => gradients[name]!.slice()) };
      const sgd = new Optimizer({ ...copies, rule: { kind: 'sgd' }, proximal: { mu: proximalMu!, reference: start } });
      const { proximalLoss } = await sgd.step(0);
      expect(relativeError(policyLoss, golden.floats('proximal/policyLoss'))).toBeLessThan(LOSS_TOLERANCE);
      expect(relativeError(Float32Array.of(proximalLoss), golden.floats('proximal/loss'))).toBeLessThan(GRADIENT_TOLERANCE);
      const entries = names.map((name) => [gradientName(name), { dtype: 'float32', shape: [], data: copies.gradients[name] }]);
      expectGradients(golden, Object.fromEntries(entries) as Tensors, 'proximal/gradient/');
    };

    await withSession(graph, async (run) => {
      for (let step = 1; step <= steps; step++) {
        const outputs = await run(feeds);
        for (const name of names) gradients[name]!.set(floats(outputs, gradientName(name)));
        if (step === 2 && proximalMu !== null) await expectProximal(floats(outputs, 'loss'));
        const { gradientNorm } = await adamW.step(lr);
        if (step === 1) expect(relativeError(Float32Array.of(gradientNorm), golden.floats('gradientNorm'))).toBeLessThan(LOSS_TOLERANCE);
        if (step === 1 || step === steps) expectWeights(step);
      }
    });
  });

  it('has the same weights after all steps in one run', async () => {
    const names = trainedWeightSpecs(model).map(({ name }) => name);
    const after = await trainedInLoop(golden);
    expectStepped(golden, preset!.steps, after, Object.fromEntries(names.map((name) => [name, golden.floats(`weight/${name}`)])));
  });

  it.runIf(proximalMu !== null)('feels the same pull back in one run', async () => {
    const { lr, betas, eps: epsilon, weight_decay: weightDecay } = preset!;
    const steps = 2;
    // Without clipping and decay of moments, the second step's first moment is its gradient.
    const options = { ...inLoop(golden), steps, optimizer: { betas: [0, betas[1]] as const, epsilon }, maxGradientNorm: 1e9 };
    const graph = buildTrainLoopGraph(model, shape, golden.source, options);
    const outputs = await runOnce(graph, {
      ...(await loopFeeds(golden, graph, steps)),
      mu: float32Tensor(Float32Array.of(proximalMu!), []),
      schedule: adamWSchedule({ betas: [0, betas[1]], weightDecay }, [lr, lr], 1),
    });
    expect(relativeError(floats(outputs, 'loss').slice(1), golden.floats('proximal/policyLoss'))).toBeLessThan(LOSS_TOLERANCE);
    expect(relativeError(floats(outputs, 'proximalLoss').slice(1), golden.floats('proximal/loss'))).toBeLessThan(GRADIENT_TOLERANCE);
    const moments = trainedWeightSpecs(model).map(({ name }) => [gradientName(name), outputs[nextName('firstMoment/', name)]!] as const);
    expectGradients(golden, Object.fromEntries(moments), 'proximal/gradient/');
  });
});
