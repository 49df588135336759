import { deriveSeed, elementCount, Random, type Parameters } from '@zk0/core';
import { float32Tensor, int64Tensor, tryDevice, type OnnxModel, type Tensor, type Tensors } from '@zk0/onnx-train';
import { readParameters } from '@zk0/storage';
import { openCheckpoint, type Checkpoint } from '../checkpoint/checkpoint.ts';
import { gradientName, type GraphShape } from '../model/graph-shape.ts';
import { buildPrefixGraph, buildSampleGraph, buildTrainGraph, buildVisionGraph } from '../model/graphs.ts';
import { trainedWeightSpecs } from '../model/weights.ts';
import { presetDirectory } from '../preset/generate.ts';
import { SMALL } from '../preset/small.ts';
import { TINY } from '../preset/tiny.ts';
import { chooseDevice, chooseThreads } from '../runtime/choose-device.ts';
import { choosePrecision, takesFloat16, trainingPlace } from '../runtime/choose-precision.ts';
import { ModelRuntime } from '../runtime/model-runtime.ts';
import { sharedWeights } from '../runtime/shared-weights.ts';
import { trainerFor } from '../training/trainers.ts';

/** What is verified, and with what. */
export interface VerifyOptions {
  readonly device: string;
  readonly precision?: string;
  readonly threads?: number;
  /** Where the model that is verified with is generated. */
  readonly cacheDirectory: string;
  readonly onProgress?: (what: string) => void;
}

/** One thing that a device computed, beside what the processor computed in float32. */
export interface VerifiedPart {
  readonly part: string;
  /** Relative L2 difference from the processor's result. */
  readonly difference: number;
  /** Most that it may be. */
  readonly tolerance: number;
  /** Of one run once warm, on the device and on the processor. */
  readonly seconds: number;
  readonly processorSeconds: number;
}

/** What came of a verification. */
export interface DeviceVerification {
  readonly device: string;
  readonly precision: string;
  readonly parts: readonly VerifiedPart[];
}

const SHAPE: GraphShape = { batch: 4, cameras: 2, emptyCameras: 0, languageTokens: 12, actionSize: 6 };
const STEPS = 4;
/** Slower devices are software; they get a model that they can do in a minute. Both models have every kind of layer. */
const EMULATED_GIGAFLOPS = 5;

/** Most that parts may differ: rounding of float32, or of 16 bits in the products. */
const TOLERANCES = {
  float32: { activations: 1e-5, gradients: 1e-4, steps: 5e-3 },
  float16: { activations: 1e-2, gradients: 1e-2, steps: 0.1 },
  bfloat16: { activations: 5e-2, gradients: 5e-2, steps: 0.3 },
} as const;

/**
 * Runs every kind of graph on a device and on the processor, from the same seeded numbers, and says how far apart they are
 * and how long they took: encoding, loss and gradients, optimiser steps with the state on the device, and acting.
 *
 * @throws SessionError DEVICE_UNAVAILABLE, PRECISION_UNAVAILABLE, or whatever the device failed with.
 */
export async function verifyDevice(options: VerifyOptions): Promise<DeviceVerification> {
  const { device } = await chooseDevice(options.device);
  const precision = await choosePrecision(options.precision ?? 'auto', device);
  const threads = chooseThreads(options.threads);
  const trial = await tryDevice(device);
  const preset = 'gigaflops' in trial && trial.gigaflops > EMULATED_GIGAFLOPS ? SMALL : TINY;
  const checkpoint = await openCheckpoint(await presetDirectory(preset, options.cacheDirectory));
  const runtimeOf = async (on: typeof device, products: typeof precision): Promise<ModelRuntime> =>
    new ModelRuntime(checkpoint.config.model, checkpoint.weights, {
      device: on,
      threads,
      precision: products,
      takesFloat16: await takesFloat16(on),
      training: trainingPlace(on),
    });
  const [processor, tested] = [await runtimeOf('cpu', 'float32'), await runtimeOf(device, precision)];
  try {
    const global = await trainedWeights(checkpoint);
    const tolerance = TOLERANCES[precision];
    const parts: VerifiedPart[] = [];
    for (const { name, kind, compute } of partsOf(checkpoint, global)) {
      options.onProgress?.(name);
      const [expected, found] = [await compute(processor), await compute(tested)];
      parts.push({
        part: name,
        difference: relativeDifference(found.values, expected.values),
        tolerance: tolerance[kind],
        seconds: found.seconds,
        processorSeconds: expected.seconds,
      });
    }
    return { device, precision, parts };
  } finally {
    await tested.close();
    await processor.close();
    await checkpoint.weights.close();
  }
}

interface Part {
  readonly name: string;
  readonly kind: keyof (typeof TOLERANCES)['float32'];
  readonly compute: (runtime: ModelRuntime) => Promise<{ readonly values: Float32Array; readonly seconds: number }>;
}

function partsOf(checkpoint: Checkpoint, global: Parameters): Part[] {
  const { config } = checkpoint;
  const names = trainedWeightSpecs(config.model).map(({ name }) => name);
  const weights = Object.fromEntries(sharedWeights(trainedWeightSpecs(config.model), global));
  const products = (runtime: ModelRuntime): Pick<ModelRuntime, 'weights'> & { products: ModelRuntime['precision'] } => ({
    weights: runtime.weights,
    products: runtime.precision,
  });
  const frozen = (name: string, outputs: readonly string[], build: (runtime: ModelRuntime) => OnnxModel): Part => ({
    name,
    kind: 'activations',
    compute: async (runtime) => {
      const model = build(runtime);
      const session = await runtime.session(`verify ${name}`, true, () => model);
      return timed(() => session.run(randomFeeds(model, name)), outputs);
    },
  });
  return [
    frozen('image tokens', ['imageTokens'], (runtime) => buildVisionGraph(config.model, 2, runtime.weights, products(runtime))),
    frozen('prefix', ['prefixKeys', 'prefixValues'], (runtime) => buildPrefixGraph(config.model, SHAPE, runtime.weights, products(runtime))),
    {
      name: 'loss and gradients',
      kind: 'gradients',
      compute: async (runtime) => {
        const model = buildTrainGraph(config.model, SHAPE, runtime.weights, products(runtime));
        const session = await runtime.session('verify train', false, () => model);
        return timed(() => session.run({ ...randomFeeds(model, 'train', weights), ...weights }), ['loss', ...names.map(gradientName)]);
      },
    },
    { name: `${STEPS} optimiser steps`, kind: 'steps', compute: (runtime) => steps(runtime, checkpoint, global) },
    {
      name: 'actions',
      kind: 'activations',
      compute: async (runtime) => {
        const trained = new Set(names);
        const model = buildSampleGraph(config.model, SHAPE, (name) => (trained.has(name) ? undefined : runtime.weights(name)), products(runtime));
        const session = await runtime.weighted('verify sample', false, () => model);
        return timed(() => session.run(weights, randomFeeds(model, 'sample', weights)), ['actions']);
      },
    },
  ];
}

/** A short training: how the weights moved. */
async function steps(runtime: ModelRuntime, { config }: Checkpoint, global: Parameters): Promise<{ values: Float32Array; seconds: number }> {
  const model = buildTrainGraph(config.model, SHAPE, runtime.weights);
  const round = {
    config,
    runtime,
    shape: SHAPE,
    source: { from: 'cache', type: 'float32' } as const,
    parts: 1,
    start: global,
    steps: STEPS,
    learningRates: Array.from({ length: STEPS }, () => 1e-3),
    proximalMu: 0.01,
    correction: undefined,
    optimizer: undefined,
    feeds: (step: number) => Promise.resolve(() => Promise.resolve(randomFeeds(model, `step ${step}`, Object.fromEntries(global)))),
    signal: undefined,
    onStep: () => undefined,
  };
  await trainerFor(runtime)(round);
  const begun = performance.now();
  const { optimized: after } = await trainerFor(runtime)(round);
  const seconds = (performance.now() - begun) / 1000 / STEPS;
  const moved = [...global].flatMap(([name, { data }]) => [...after.get(name)!.data].map((value, at) => value - data[at]!));
  return { values: Float32Array.from(moved), seconds };
}

async function timed(run: () => Promise<Tensors>, outputs: readonly string[]): Promise<{ values: Float32Array; seconds: number }> {
  await run();
  const begun = performance.now();
  const results = await run();
  const seconds = (performance.now() - begun) / 1000;
  return { values: Float32Array.from(outputs.flatMap((name) => [...(results[name]!.data as Float32Array)])), seconds };
}

/** Seeded numbers for every input of a model but those that are `given`. */
function randomFeeds(model: OnnxModel, seed: string, given: Readonly<Record<string, unknown>> = {}): Tensors {
  const wanted = [...model.inputs].filter(([name]) => !Object.hasOwn(given, name));
  return Object.fromEntries(
    wanted.map(([name, { dtype, shape }]): [string, Tensor] => {
      const random = new Random(deriveSeed(seed, name));
      const size = elementCount(shape);
      if (dtype === 'int64') return [name, int64Tensor(Array.from({ length: size }, () => Math.floor(32 * random.uniform())), shape)];
      if (dtype === 'bool') return [name, { dtype, shape, data: new Uint8Array(size).fill(name === 'actionIsPad' ? 0 : 1) }];
      const values = name === 'time' ? new Float32Array(size).map(() => random.uniform()) : random.fillNormal(new Float32Array(size));
      return [name, float32Tensor(values, shape)];
    }),
  );
}

async function trainedWeights({ config, weights }: Checkpoint): Promise<Parameters> {
  const trained = new Set(trainedWeightSpecs(config.model).map(({ name }) => name));
  return readParameters({
    specs: weights.specs.filter(({ name }) => trained.has(name)),
    readBytes: (name, offset, into) => weights.readBytes(name, offset, into),
  });
}

function relativeDifference(found: Float32Array, expected: Float32Array): number {
  let difference = 0;
  let size = 0;
  expected.forEach((value, index) => {
    difference += (found[index]! - value) ** 2;
    size += value ** 2;
  });
  return Math.sqrt(difference / size);
}
