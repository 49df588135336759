import { DATA_TYPES, decodeModelProto, OPSET, type DataType, type GraphProto, type NodeProto, type OnnxModel } from '@zk0/onnx-train';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { buildTrainLoopGraph, buildTrainStepGraph, type DeviceTrainingOptions } from '../src/model/device-training.ts';
import type { PrefixSource } from '../src/model/graph-inputs.ts';
import {
  buildEvaluateGraph,
  buildFullEvaluateGraph,
  buildFullSampleGraph,
  buildPrefixGraph,
  buildSampleGraph,
  buildVisionGraph,
} from '../src/model/graphs.ts';
import { goldenCases } from './golden-files.ts';

/** Which kernels onnxruntime's CUDA provider has, from its own list. No NVIDIA GPU is needed to hold the graphs against it. */
const table = JSON.parse(readFileSync(new URL('./cuda-kernels.json', import.meta.url), 'utf8')) as {
  readonly types: Readonly<Record<string, readonly DataType[]>>;
  readonly kernels: Readonly<Record<string, { readonly since: number; readonly inputs: readonly string[]; readonly output?: string }>>;
};

const NAMES = new Map(Object.entries(DATA_TYPES).map(([name, { code }]): [number, DataType] => [code, name as DataType]));
/** Fields that have protobuf's default are left out when a model is decoded. */
const domainOf = ({ domain }: Partial<NodeProto>): string => domain ?? '';
const COMPARISONS = ['And', 'Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual', 'Not', 'Or'];

/** Every operator of a graph with the element types of its inputs, that the table has no kernel for. */
function withoutKernel({ bytes }: OnnxModel): string[] {
  const missing = new Set<string>();
  walk(decodeModelProto(bytes).graph, new Map(), missing);
  return [...missing].sort();
}

function walk(graph: GraphProto, around: ReadonlyMap<string, DataType>, missing: Set<string>): Map<string, DataType> {
  const types = new Map(around);
  for (const { name, dataType } of graph.initializer) types.set(name, NAMES.get(dataType)!);
  for (const { name, type } of graph.input) types.set(name, NAMES.get(type.tensorType.elemType)!);
  for (const node of graph.node) {
    const inputs = node.input.filter((name) => name !== '').map((name) => types.get(name)!);
    const outputs = outputTypes(node, inputs, types, missing);
    node.output.forEach((name, index) => types.set(name, outputs[Math.min(index, outputs.length - 1)]!));
    const kernel = table.kernels[node.opType];
    const takes = (kind: string | undefined, type: DataType): boolean => kind !== undefined && table.types[kind]!.includes(type);
    const fits =
      kernel !== undefined &&
      domainOf(node) === '' &&
      kernel.since <= OPSET &&
      inputs.every((type, index) => takes(kernel.inputs[Math.min(index, kernel.inputs.length - 1)], type)) &&
      (kernel.output === undefined || outputs.every((type) => takes(kernel.output, type)));
    if (!fits) missing.add(`${domainOf(node)}${node.opType}(${inputs.join(', ')})`);
  }
  return types;
}

function outputTypes(node: NodeProto, inputs: readonly DataType[], types: ReadonlyMap<string, DataType>, missing: Set<string>): DataType[] {
  const body = node.attribute.find(({ name }) => name === 'body')?.g;
  if (body !== undefined) {
    const inside = walk(body, types, missing);
    return body.output.slice(1).map(({ name }) => inside.get(name)!);
  }
  if (node.opType === 'Cast') return [NAMES.get(node.attribute.find(({ name }) => name === 'to')!.i!)!];
  if (COMPARISONS.includes(node.opType)) return ['bool'];
  return [inputs[node.opType === 'Where' ? 1 : 0]!];
}

describe.each(['float32', 'float16', 'bfloat16'] as const)('with products in %s, the CUDA provider has a kernel for', { timeout: 60_000 }, (products) => {
  const cases = new Map(goldenCases().map((golden) => [golden.name, golden]));
  const frozen = cases.get('cross-two-cameras')!;
  const whole = cases.get('trained-vision-half-depth')!;
  const options = (source: PrefixSource): DeviceTrainingOptions => ({
    source,
    optimizer: { betas: [0.9, 0.95], epsilon: 1e-8 },
    maxGradientNorm: 10,
    proximal: true,
    correction: true,
    lossScaling: products === 'float16',
    products,
  });
  const cache: PrefixSource = { from: 'cache', type: 'float16' };

  it.each<[string, () => OnnxModel]>([
    ['the training loop', () => buildTrainLoopGraph(frozen.model, frozen.shape, frozen.source, { ...options(cache), steps: 3 })],
    ['the training step', () => buildTrainStepGraph(frozen.model, frozen.shape, frozen.source, options(cache))],
    ['the training loop from images', () => buildTrainLoopGraph(whole.model, whole.shape, whole.source, { ...options({ from: 'images' }), steps: 3 })],
    ['the vision encoder', () => buildVisionGraph(frozen.model, 2, frozen.source, { products })],
    ['the prefix', () => buildPrefixGraph(frozen.model, frozen.shape, frozen.source, { products })],
    ['evaluation', () => buildEvaluateGraph(frozen.model, frozen.shape, frozen.source, { products, prefixType: 'float16' })],
    ['evaluation from images', () => buildFullEvaluateGraph(whole.model, whole.shape, whole.source, { products })],
    ['acting', () => buildSampleGraph(frozen.model, frozen.shape, frozen.source, { products })],
    ['acting from images', () => buildFullSampleGraph(whole.model, whole.shape, whole.source, { products })],
  ])('every operator of %s', (_what, build) => {
    expect(withoutKernel(build())).toEqual([]);
  });
});
