/**
 * What training and acting cost through the public interface, by cache tier, next to the machine's own matrix product.
 *
 *   npx nx bench policy-smolvla              450 M parameters, random weights, 2 cameras, batch 8
 *   npx nx bench policy-smolvla -- small 10  the small preset, 10 steps
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Parameters } from '@zk0/core';
import { createSession, encodeModel, float32Tensor, GraphBuilder, ops } from '@zk0/onnx-train';
import { openPolicy, type CacheMode, type SmolVlaConfig, type SmolVlaPolicy } from '../src/index.ts';
import { modelSizes } from '../src/model/config.ts';
import { presetDirectory } from '../src/preset/generate.ts';
import { SMALL, type Preset } from '../src/preset/small.ts';
import { normalizerOf, syntheticDataset } from '../test/synthetic-dataset.ts';

const BATCH = 8;
const CAMERAS = 2;

/** `lerobot/smolvla_base` in shape, with random weights. */
const FULL: Preset = {
  ...SMALL,
  name: 'full',
  policy: { type: 'smolvla', load_vlm_weights: false, num_expert_layers: 0, pad_language_to: 'max_length' },
  vlm: () => ({
    ...SMALL.vlm(49280),
    scale_factor: 4,
    text_config: {
      hidden_size: 960,
      intermediate_size: 2560,
      num_hidden_layers: 16,
      num_attention_heads: 15,
      num_key_value_heads: 5,
      head_dim: 64,
      rms_norm_eps: 1e-5,
      vocab_size: 49280,
    },
    vision_config: {
      hidden_size: 768,
      intermediate_size: 3072,
      num_hidden_layers: 12,
      num_attention_heads: 12,
      image_size: 512,
      patch_size: 16,
    },
  }),
};

const [size = 'full', stepsText = '3'] = process.argv.slice(2);
const steps = Number(stepsText);
const dataset = syntheticDataset({ episodes: 1, framesPerEpisode: BATCH * 2, width: 640, height: 480 });
const cameras = dataset.info.cameras.map(({ key }) => key);
const normalizer = normalizerOf(dataset);
const root = await mkdtemp(join(tmpdir(), 'zk0-bench-'));
process.on('exit', () => {
  process.stdout.write(`peak RSS ${(process.resourceUsage().maxRSS / 1e6).toFixed(2)} GB\n`);
});

try {
  const source = size === 'small' ? 'small' : await presetDirectory(FULL, root);
  const begun = performance.now();
  const features = { stateSize: 6, actionSize: 6, cameras };
  const policy = await openPolicy(source, { device: 'cpu', cacheDirectory: root, features });
  const parameters = await policy.initialParameters();
  const openS = (performance.now() - begun) / 1000;
  const count = policy.parameterSpecs.reduce((sum, { shape }) => sum + shape.reduce((product, axis) => product * axis, 1), 0);
  print(`${size}: ${(count / 1e6).toFixed(1)} M trained values, opened in ${openS.toFixed(1)} s, ${availableParallelism()} threads`);
  print(`matrix product of this machine: ${(await matmulRate()).toFixed(0)} GFLOP/s`);
  print('what                       median s   GFLOP   GFLOP/s');
  const work = flops(policy.config);
  for (const [cache, flop] of [
    ['prefix', work.train],
    ['vision', work.train + work.prefix],
    ['off', work.train + work.prefix + work.vision],
  ] as const) {
    row(`step, cache ${cache}`, await timeSteps(policy, parameters, cache), flop * BATCH);
  }
  row('action chunk', await timeActing(policy), work.vision + work.prefix + work.act);
  await policy.close();
} finally {
  await rm(root, { recursive: true, force: true });
}

/** Median seconds of a whole step: inputs, gradients, optimiser. The first step pays for the session and is left out. */
async function timeSteps(policy: SmolVlaPolicy, parameters: Parameters, cache: CacheMode): Promise<number> {
  const learner = policy.learner(dataset, { normalizer, cache, cacheBudgetBytes: 1e12 });
  const times: number[] = [];
  let last = 0;
  const onProgress = ({ phase }: { phase: string }): void => {
    const now = performance.now();
    if (phase === 'training') times.push((now - last) / 1000);
    last = now;
  };
  const instructions = { round: 1, seed: 'bench', batchSize: BATCH, localSteps: steps + 1, learningRate: 1e-4, proximalMu: 0 };
  await learner.fit(parameters, instructions, { onProgress });
  await learner.close();
  return median(times.slice(1));
}

async function timeActing(policy: SmolVlaPolicy): Promise<number> {
  const actor = await policy.actor({ normalizer });
  const images = await dataset.images(0, cameras);
  const observation = {
    state: dataset.state(0),
    images: Object.fromEntries(cameras.map((key, index) => [key, images[index]!])),
    task: dataset.task(0),
  };
  const times: number[] = [];
  for (let run = 0; run <= steps; run++) {
    const begun = performance.now();
    await actor.act(observation, { seed: 'bench' });
    times.push((performance.now() - begun) / 1000);
  }
  await actor.close();
  return median(times.slice(1));
}

async function matmulRate(): Promise<number> {
  const graph = new GraphBuilder('product');
  const [rows, inner, columns] = [2048, 1024, 2048];
  graph.output('y', ops.matMul(graph.input('a', 'float32', [rows, inner]), graph.input('b', 'float32', [inner, columns])));
  const session = await createSession(encodeModel(graph));
  const feeds = {
    a: float32Tensor(new Float32Array(rows * inner).fill(0.5), [rows, inner]),
    b: float32Tensor(new Float32Array(inner * columns).fill(0.5), [inner, columns]),
  };
  const times: number[] = [];
  for (let run = 0; run < 12; run++) {
    const begun = performance.now();
    await session.run(feeds);
    times.push((performance.now() - begun) / 1000);
  }
  await session.close();
  return (2 * rows * inner * columns) / median(times) / 1e9;
}

/** Floating-point operations of one sample in the matrix products; a backward pass counts twice its forward pass. */
function flops({ model }: SmolVlaConfig): { readonly vision: number; readonly prefix: number; readonly train: number; readonly act: number } {
  const { vision, text } = model;
  const sizes = modelSizes(model);
  const patches = sizes.patchesPerSide ** 2;
  const perPatch = vision.layers * (4 * vision.hiddenSize ** 2 + 2 * vision.hiddenSize * vision.intermediateSize);
  const image = 2 * patches * perPatch + 4 * vision.layers * patches ** 2 * vision.hiddenSize;
  const language = 18;
  const tokens = CAMERAS * sizes.imageTokens + language;
  const layer = (width: number, inner: number, kv: number): number => 2 * width * sizes.queryWidth + 2 * kv * sizes.kvWidth + 3 * width * inner;
  const prefixLayer = layer(text.hiddenSize, text.intermediateSize, text.hiddenSize);
  const prefix = sizes.prefixLayers * (2 * tokens * prefixLayer + 4 * tokens ** 2 * sizes.queryWidth);
  const expertLayer = layer(sizes.expertWidth, sizes.expertIntermediateSize, sizes.expertWidth);
  const chunk = model.chunkSize;
  const expert = sizes.expertLayers * (2 * chunk * expertLayer + 4 * chunk * (tokens + chunk) * sizes.queryWidth);
  return { vision: CAMERAS * image, prefix, train: 3 * expert, act: model.numSteps * expert };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

function row(what: string, seconds: number, flop: number): void {
  const columns = [seconds.toFixed(3), (flop / 1e9).toFixed(1), (flop / seconds / 1e9).toFixed(1)];
  print(`${what.padEnd(24)}${columns.map((column) => column.padStart(10)).join('')}`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
