import { decodeSafetensors, type TensorBytes } from '@zk0/core';
import { float32Tensor, type Tensor, type Tensors } from '@zk0/onnx-train';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { SmolVlaModelConfig } from '../src/model/config.ts';
import type { GraphShape, WeightSource } from '../src/model/graph-shape.ts';

const directory = fileURLToPath(new URL('../golden/', import.meta.url));

/** What the case's optimiser was set to. */
export interface GoldenOptimizer {
  readonly lr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weight_decay: number;
  readonly grad_clip_norm: number;
  readonly steps: number;
}

export interface GoldenDescription {
  readonly model: SmolVlaModelConfig;
  readonly shape: GraphShape;
  readonly optimizer: GoldenOptimizer | null;
  readonly proximalMu: number | null;
  /** Every tensor of LeRobot's policy, with its shape. */
  readonly tensors: Readonly<Record<string, readonly number[]>>;
}

/** One golden case: what LeRobot was given and what it computed. */
export interface GoldenCase extends GoldenDescription {
  readonly name: string;
  /** Names of the tensors under `prefix`, without it. */
  under(prefix: string): string[];
  has(name: string): boolean;
  /** A tensor's numbers, bfloat16 widened. */
  floats(name: string): Float32Array;
  /** The `input/*` tensors that `names` asks for, as a graph takes them. */
  inputs(names: Iterable<string>): Record<string, Tensor>;
  /** The weights of the case as feeds. */
  weights(names: Iterable<string>): Tensors;
  readonly source: WeightSource;
}

/** Every golden case in the folder. */
export function goldenCases(): GoldenCase[] {
  const names = readdirSync(directory).filter((file) => file.endsWith('.json'));
  return names.map((file) => loadCase(file.slice(0, -'.json'.length)));
}

/** One case, by its path in the folder. */
export function loadCase(name: string): GoldenCase {
  const description = JSON.parse(readFileSync(`${directory}${name}.json`, 'utf8')) as GoldenDescription;
  const file = decodeSafetensors(Uint8Array.from(readFileSync(`${directory}${name}.safetensors`)));
  const tensors = new Map(file.tensors.map((tensor) => [tensor.name, tensor]));
  const find = (wanted: string): TensorBytes => {
    const tensor = tensors.get(wanted);
    if (tensor === undefined) throw new Error(`golden case ${name} has no tensor ${wanted}`);
    return tensor;
  };
  return {
    ...description,
    name,
    under: (prefix) => [...tensors.keys()].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length)),
    has: (wanted) => tensors.has(wanted),
    floats: (wanted) => floatsOf(find(wanted)),
    inputs: (names) =>
      Object.fromEntries([...names].filter((key) => tensors.has(`input/${key}`)).map((key) => [key, tensorOf(find(`input/${key}`))])),
    weights: (names) =>
      Object.fromEntries([...names].map((key) => [key, float32Tensor(floatsOf(find(`weight/${key}`)), find(`weight/${key}`).shape)])),
    source: (wanted) => ({ dtype: 'bfloat16', data: { bytes: find(`weight/${wanted}`).data } }),
  };
}

function floatsOf({ name, dtype, data }: TensorBytes): Float32Array {
  const copy = data.slice().buffer;
  if (dtype === 'F32') return new Float32Array(copy);
  if (dtype !== 'BF16') throw new Error(`golden tensor ${name} is ${dtype}`);
  const words = new Uint32Array(new Uint16Array(copy)).map((bits) => bits << 16);
  return new Float32Array(words.buffer);
}

function tensorOf(tensor: TensorBytes): Tensor {
  const { dtype, shape } = tensor;
  const copy = tensor.data.slice();
  if (dtype === 'BOOL') return { dtype: 'bool', shape, data: copy };
  if (dtype === 'I64') return { dtype: 'int64', shape, data: new BigInt64Array(copy.buffer) };
  return { dtype: 'float32', shape, data: floatsOf(tensor) };
}

/** ‖a − b‖ / ‖b‖, or / `floor` where ‖b‖ is smaller. */
export function relativeError(a: Float32Array, b: Float32Array, floor = Number.MIN_VALUE): number {
  if (a.length !== b.length) throw new Error(`${a.length} numbers against ${b.length}`);
  let difference = 0;
  let size = 0;
  b.forEach((expected, index) => {
    difference += (a[index]! - expected) ** 2;
    size += expected ** 2;
  });
  return Math.sqrt(difference) / Math.max(Math.sqrt(size), floor);
}
