import type { Float32Tensor, Parameters } from '@zk0/core';
import { adamWSchedule, createSession, float32Tensor, Optimizer, type OnnxModel, type Tensors } from '@zk0/onnx-train';
import { describe, expect, it } from 'vitest';
import type { SmolVlaModelConfig } from '../src/model/config.ts';
import { buildTrainLoopGraph } from '../src/model/device-training.ts';
import { gradientName, nextName } from '../src/model/graph-shape.ts';
import { buildFullEvaluateGraph, buildFullSampleGraph, buildFullTrainGraph, buildTrainGraph } from '../src/model/graphs.ts';
import { factorName, factorSpecs, initialFactors, LORA_TARGETS, mergeFactors } from '../src/model/lora.ts';
import { trainedWeightSpecs, weightSpecs } from '../src/model/weights.ts';
import { loadCase, relativeError } from './golden-files.ts';

/** What LeRobot and PEFT computed: see `golden/lora.py`. */
const golden = loadCase('lora/case');
const { rank, alpha, targets } = (golden as unknown as { lora: { rank: number; alpha: number; targets: string } }).lora;
const model: SmolVlaModelConfig = { ...golden.model, lora: { rank, alpha } };
const factors = factorSpecs(model);
const weights: Parameters = parameters('weight/', trainedWeightSpecs(model));

function parameters(prefix: string, specs: readonly { readonly name: string; readonly shape: readonly number[] }[]): Parameters {
  return new Map(specs.map(({ name, shape }): [string, Float32Tensor] => [name, { shape, data: golden.floats(`${prefix}${name}`) }]));
}

function tensorsOf(given: Parameters): Tensors {
  return Object.fromEntries([...given].map(([name, { shape, data }]) => [name, float32Tensor(data, shape)]));
}

async function run(graph: OnnxModel, given: Tensors): Promise<Tensors> {
  const session = await createSession(graph, { threads: 1 });
  try {
    const wanted = [...graph.inputs.keys()];
    return await session.run({ ...golden.inputs(wanted), ...golden.weights(wanted.filter((name) => golden.has(`weight/${name}`))), ...given });
  } finally {
    await session.close();
  }
}

function floats(tensors: Tensors, name: string): Float32Array {
  return tensors[name]!.data as Float32Array;
}

function expectGradients(outputs: Tensors): void {
  const errors = factors.map(({ name }) => [name, relativeError(floats(outputs, gradientName(name)), golden.floats(`gradient/${name}`), 1e-6)] as const);
  expect(errors.filter(([, error]) => !(error < 1e-4))).toEqual([]);
}

describe('LoRA, as LeRobot and PEFT compute it', () => {
  it('adapts the same modules, which its pattern names', () => {
    expect(targets).toBe(LORA_TARGETS);
    expect(factors.map(({ name }) => name).sort()).toEqual(golden.under('factor/').sort());
    const pattern = new RegExp(`^(?:${LORA_TARGETS})$`);
    const named = weightSpecs(model).filter(({ name, shape }) => shape.length === 2 && pattern.test(name.replace(/\.weight$/, '')));
    expect(named.map(({ name }) => name)).toEqual(trainedWeightSpecs(model).map(({ name }) => name));
  });

  it('gives the loss, and the gradient of every factor', async () => {
    const graph = buildFullTrainGraph(model, golden.shape, golden.source);
    const outputs = await run(graph, tensorsOf(parameters('factor/', factors)));
    expect(relativeError(floats(outputs, 'loss'), golden.floats('loss'))).toBeLessThan(1e-5);
    expectGradients(outputs);
    expect([...graph.outputs.keys()].filter((name) => name.startsWith('gradient/'))).toHaveLength(factors.length);
  });

  it('gives the same from a cached prefix', async () => {
    const graph = buildTrainGraph(model, golden.shape, golden.source, { fromTokens: true });
    const imageTokens = float32Tensor(golden.floats('imageTokens'), graph.inputs.get('imageTokens')!.shape);
    const outputs = await run(graph, { ...tensorsOf(parameters('factor/', factors)), imageTokens });
    expect(relativeError(floats(outputs, 'loss'), golden.floats('loss'))).toBeLessThan(1e-5);
    expectGradients(outputs);
  });

  it('has the same factors after 1 step of AdamW and after 10', async () => {
    const { lr, betas, eps: epsilon, weight_decay: weightDecay, grad_clip_norm: maxGradientNorm, steps } = golden.optimizer!;
    const now = Object.fromEntries([...parameters('factor/', factors)].map(([name, { data }]) => [name, data.slice()]));
    const gradients = Object.fromEntries(factors.map(({ name }) => [name, new Float32Array(now[name]!.length)]));
    const adamW = new Optimizer({ weights: now, gradients, maxGradientNorm, rule: { kind: 'adamw', betas, epsilon, weightDecay } });
    const graph = buildFullTrainGraph(model, golden.shape, golden.source);
    const session = await createSession(graph, { threads: 1 });
    const wanted = [...graph.inputs.keys()];
    const fixed = { ...golden.inputs(wanted), ...golden.weights(wanted.filter((name) => golden.has(`weight/${name}`))) };
    for (let step = 1; step <= steps; step++) {
      const outputs = await session.run({ ...fixed, ...Object.fromEntries(factors.map(({ name, shape }) => [name, float32Tensor(now[name]!, shape)])) });
      for (const { name } of factors) gradients[name]!.set(floats(outputs, gradientName(name)));
      await adamW.step(lr);
      if (step !== 1 && step !== steps) continue;
      for (const { name } of factors) expect(relativeError(now[name]!, golden.floats(`step${step}/${name}`)), `${step} ${name}`).toBeLessThan(1e-4);
    }
    await session.close();
  });

  it('has the same factors after 10 steps in one run', async () => {
    const { lr, betas, eps: epsilon, weight_decay: weightDecay, grad_clip_norm: maxGradientNorm, steps } = golden.optimizer!;
    const graph = buildTrainLoopGraph(model, golden.shape, golden.source, {
      steps, source: { from: 'images' }, optimizer: { betas, epsilon }, maxGradientNorm, proximal: false, correction: false, lossScaling: false,
    });
    const start = [...parameters('factor/', factors)].flatMap(([name, { shape, data }]) => [
      [name, float32Tensor(data, shape)] as const,
      ...['firstMoment/', 'secondMoment/'].map((part) => [`${part}${name}`, float32Tensor(new Float32Array(data.length), shape)] as const),
    ]);
    const stacked = Object.entries(golden.inputs(graph.inputs.keys())).map(([name, { dtype, shape, data }]) => {
      const many = (data.constructor as new (length: number) => Float32Array);
      const all = new many(steps * data.length);
      for (let step = 0; step < steps; step++) all.set(data as Float32Array, step * data.length);
      return [name, { dtype, shape: [steps, ...shape], data: all }] as const;
    });
    const outputs = await run(graph, {
      ...Object.fromEntries(start),
      ...(Object.fromEntries(stacked) as Tensors),
      schedule: adamWSchedule({ betas, weightDecay }, Array.from({ length: steps }, () => lr), 1),
    });
    for (const { name } of factors) expect(relativeError(floats(outputs, nextName('', name)), golden.floats(`step${steps}/${name}`)), name).toBeLessThan(1e-4);
  });

  it('merges into the same weights, which compute what the factors compute', async () => {
    const merged = mergeFactors(model, weights, parameters('factor/', factors));
    for (const [name, { data }] of merged) {
      expect(relativeError(data, golden.floats(`merged/${name}`)), name).toBeLessThan(1e-6);
      expect(relativeError(data, weights.get(name)!.data), name).toBeGreaterThan(0.1);
    }
    const evaluated = await run(buildFullEvaluateGraph(model, golden.shape, golden.source), tensorsOf(merged));
    expect(relativeError(floats(evaluated, 'loss'), golden.floats('loss'))).toBeLessThan(1e-5);
    const others = (name: string) => (merged.has(name) ? undefined : golden.source(name));
    const { actions } = await run(buildFullSampleGraph(model, golden.shape, others), tensorsOf(merged));
    expect(relativeError(actions!.data as Float32Array, golden.floats('actions'))).toBeLessThan(1e-5);
  });
});

describe('factors to begin with', () => {
  it('change nothing, are drawn as PEFT draws them, and follow from the seed', () => {
    const [one, again, other] = ['seed', 'seed', 'other'].map((seed) => initialFactors(model, seed)) as [Parameters, Parameters, Parameters];
    expect(again).toEqual(one);
    for (const { name, shape } of trainedWeightSpecs(model)) {
      const [a, b] = (['A', 'B'] as const).map((which) => one.get(factorName(name, which))!) as [Float32Tensor, Float32Tensor];
      expect(b.data.every((value) => value === 0)).toBe(true);
      const bound = shape[1]! ** -0.5;
      const largest = a.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expect(largest).toBeLessThanOrEqual(bound);
      expect(largest).toBeGreaterThan(0.9 * bound);
      expect(other.get(factorName(name, 'A'))).not.toEqual(a);
    }
    expect(mergeFactors(model, weights, one)).toEqual(weights);
  });
});
