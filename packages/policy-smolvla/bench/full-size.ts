/**
 * The full-size model against LeRobot, tensor by tensor, and what its graphs take.
 *
 *   npx nx parity policy-smolvla -- DIRECTORY [batch]
 *
 * DIRECTORY holds what `python golden/full_size.py DIRECTORY` wrote (3 GB); where it does not, the Python that
 * ZK0_LEROBOT_PYTHON names is asked to write it.
 */
import { execFileSync } from 'node:child_process';
import { createSession, dataTypeOf, sharedTensor, type OnnxModel, type Tensor, type Tensors } from '@zk0/onnx-train';
import { openSafetensors, type SafetensorsFile } from '@zk0/storage';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SmolVlaModelConfig } from '../src/model/config.ts';
import { gradientName, type GraphShape, type WeightSource } from '../src/model/graph-shape.ts';
import { buildPrefixGraph, buildSampleGraph, buildTrainGraph, buildVisionGraph } from '../src/model/graphs.ts';
import { trainedWeightSpecs } from '../src/model/weights.ts';

const LOSS_TOLERANCE = 1e-4;
const LEAST_COSINE = 0.9999;
const RUNS = 3;

interface Reference {
  readonly model: SmolVlaModelConfig;
  readonly shape: GraphShape;
}

async function main(directory: string, batch: number): Promise<void> {
  const { model, shape } = JSON.parse(readFileSync(join(directory, 'full-size.json'), 'utf8')) as Reference;
  const path = resolve(directory, 'full-size.safetensors');
  const file = await openSafetensors(path);
  const source: WeightSource = (name) => {
    const { dtype, begin } = file.tensorLocation(`weight/${name}`);
    return { dtype: dataTypeOf(dtype), data: { external: { path, offset: begin } } };
  };
  const weights = Object.fromEntries(
    await Promise.all(trainedWeightSpecs(model).map(async ({ name }) => [name, await read(file, `weight/${name}`)] as const)),
  );
  const prefix = await prefixOf(model, shape, source, file);
  await checkParity(model, shape, source, file, { ...prefix, ...weights });
  const wide = { ...shape, batch };
  await time('train step (forward and backward)', buildTrainGraph(model, wide, source), async (graph) => ({
    ...repeat(await vectors(file, graph), prefix, graph),
    ...weights,
  }));
  const one = { ...shape, batch: 1 };
  await time('action chunk (10 steps)', buildSampleGraph(model, one, source), async (graph) => repeat(await vectors(file, graph), prefix, graph));
  await file.close();
}

async function prefixOf(model: SmolVlaModelConfig, shape: GraphShape, source: WeightSource, file: SafetensorsFile): Promise<Tensors> {
  const vision = buildVisionGraph(model, shape.batch * shape.cameras, source);
  const { imageTokens } = await time('vision', vision, async (graph) => {
    const images = await read(file, 'input/images');
    return { images: { ...images, shape: graph.inputs.get('images')!.shape } };
  }, 1);
  return time('prefix', buildPrefixGraph(model, shape, source), async (graph) => ({
    ...(await vectors(file, graph)),
    imageTokens: { ...imageTokens!, shape: graph.inputs.get('imageTokens')!.shape } as Tensor,
  }), 1);
}

async function checkParity(
  model: SmolVlaModelConfig,
  shape: GraphShape,
  source: WeightSource,
  file: SafetensorsFile,
  feeds: Tensors,
): Promise<void> {
  const graph = buildTrainGraph(model, shape, source);
  const outputs = await time('train step at the reference batch', graph, async () => ({ ...(await vectors(file, graph)), ...feeds }), 1);
  const loss = numbers(outputs['loss']!)[0]!;
  const expected = numbers(await read(file, 'loss'))[0]!;
  let worst = { name: '', cosine: 1 };
  const total = { product: 0, ours: 0, theirs: 0 };
  for (const { name } of trainedWeightSpecs(model)) {
    const sums = products(numbers(outputs[gradientName(name)]!), numbers(await read(file, `gradient/${name}`)));
    const cosine = sums.product / Math.sqrt(sums.ours * sums.theirs);
    if (cosine < worst.cosine) worst = { name, cosine };
    total.product += sums.product;
    total.ours += sums.ours;
    total.theirs += sums.theirs;
  }
  const overall = total.product / Math.sqrt(total.ours * total.theirs);
  const lossError = Math.abs(loss - expected) / expected;
  console.log(`loss ${loss} against ${expected}: ${lossError.toExponential(1)} relative`);
  console.log(`gradient: cosine ${overall.toFixed(9)}, norm ratio ${Math.sqrt(total.ours / total.theirs).toFixed(7)}`);
  console.log(`least cosine of a tensor: ${worst.cosine.toFixed(9)} (${worst.name})`);
  if (!(lossError < LOSS_TOLERANCE && worst.cosine > LEAST_COSINE)) {
    console.error('the full-size model differs from LeRobot');
    process.exitCode = 1;
  }
}

function products(ours: Float32Array, theirs: Float32Array): { product: number; ours: number; theirs: number } {
  const sums = { product: 0, ours: 0, theirs: 0 };
  ours.forEach((value, index) => {
    const other = theirs[index]!;
    sums.product += value * other;
    sums.ours += value * value;
    sums.theirs += other * other;
  });
  return sums;
}

/** Runs a graph a few times and says how long loading and the median run took. */
async function time(
  what: string,
  graph: OnnxModel,
  feed: (graph: OnnxModel) => Promise<Tensors>,
  runs = RUNS,
): Promise<Record<string, Tensor>> {
  const feeds = await feed(graph);
  const began = performance.now();
  const session = await createSession(graph);
  const loaded = performance.now() - began;
  const into = Object.fromEntries(
    [...graph.outputs].map(([name, { dtype, shape }]) => [name, sharedTensor(dtype === 'bool' ? 'bool' : 'float32', shape)]),
  );
  const times: number[] = [];
  const busy = process.cpuUsage();
  let outputs: Record<string, Tensor> = {};
  for (let run = 0; run < runs; run++) {
    const start = performance.now();
    outputs = await session.run(feeds, { into });
    times.push(performance.now() - start);
  }
  const { user, system } = process.cpuUsage(busy);
  await session.close();
  const median = times.toSorted((a, b) => a - b)[Math.floor(runs / 2)]!;
  const rss = (process.memoryUsage().rss / 2 ** 30).toFixed(2);
  const seconds = [median, (user + system) / 1000 / runs, times[0]!, loaded].map((milliseconds) => (milliseconds / 1000).toFixed(2));
  console.log(`${what}: ${seconds[0]!} s (processor ${seconds[1]!} s, first ${seconds[2]!} s, loaded in ${seconds[3]!} s, RSS ${rss} GiB)`);
  return outputs;
}

/** The reference's inputs that a graph takes. */
async function vectors(file: SafetensorsFile, graph: OnnxModel): Promise<Tensors> {
  const names = [...graph.inputs.keys()].filter((name) => file.has(`input/${name}`));
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await read(file, `input/${name}`)] as const)));
}

/** Tensors of the reference's batch, repeated or cut to the batch that a graph was written for. */
function repeat(inputs: Tensors, prefix: Tensors, graph: OnnxModel): Tensors {
  const fitted = Object.entries({ ...inputs, ...prefix }).map(([name, tensor]) => {
    const { shape } = graph.inputs.get(name)!;
    const result = sharedTensor(tensor.dtype, shape);
    for (let index = 0; index < result.data.length; index++) result.data[index] = tensor.data[index % tensor.data.length]!;
    return [name, result] as const;
  });
  return Object.fromEntries(fitted);
}

async function read(file: SafetensorsFile, name: string): Promise<Tensor> {
  const { dtype, shape } = file.tensorLocation(name);
  const type = dataTypeOf(dtype);
  if (type === 'bfloat16') throw new Error(`${name} is bfloat16`);
  const tensor = sharedTensor(type, shape);
  await file.readBytes(name, 0, new Uint8Array(tensor.data.buffer));
  return tensor;
}

function numbers(tensor: Tensor): Float32Array {
  return tensor.data as Float32Array;
}

const [directory, batch = '8'] = process.argv.slice(2);
if (directory === undefined) throw new Error('usage: npx nx parity policy-smolvla -- DIRECTORY [batch]');
const python = process.env['ZK0_LEROBOT_PYTHON'];
if (python !== undefined && !existsSync(join(directory, 'full-size.json'))) {
  execFileSync(python, [fileURLToPath(new URL('../golden/full_size.py', import.meta.url)), directory], { stdio: 'inherit' });
}
await main(directory, Number(batch));
