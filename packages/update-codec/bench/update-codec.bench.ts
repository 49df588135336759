/**
 * `npx nx bench update-codec`: time and bytes of each encoding for an update of SmolVLA's trained tensors (names and shapes of
 * `lerobot/smolvla_base`), in memory, on one thread; times are of the processor. Needs 3 GB.
 *
 * Weights and changes are synthetic. Weights are normal with deviation 0.03 (norms: around 1); changes are normal with deviation 5e-4 times
 * a factor for each row, log-normal with deviation 0.7: about what fifty AdamW steps of 1e-4 make. `bench 0.1` takes a tenth of the layers.
 */
import { availableParallelism, cpus } from 'node:os';
import { encodeParameters, encodeSafetensors, MemoryTensorSource, Random, type Float32Tensor, type Parameters, type TensorSource } from '@zk0/core';
import { decodeUpdate, encodeUpdate, type EncodedUpdate, type PackedEncoding } from '../src/index.ts';

const LAYERS = Math.max(1, Math.round(16 * Number(process.argv[2] ?? 1)));
/** Values that a strategy reads at a time. */
const BLOCK = 131_072;
const BASE_HASH = '0'.repeat(64);
const log = (line: string): void => void process.stdout.write(`${line}\n`);

function shapes(): [name: string, shape: readonly number[]][] {
  const layer = (index: number): [string, number[]][] => {
    const inputs = index % 2 === 0 ? 720 : 320;
    const prefix = `model.vlm_with_expert.lm_expert.layers.${index}`;
    return [
      [`${prefix}.self_attn.q_proj.weight`, [960, 720]],
      [`${prefix}.self_attn.k_proj.weight`, [320, inputs]],
      [`${prefix}.self_attn.v_proj.weight`, [320, inputs]],
      [`${prefix}.self_attn.o_proj.weight`, [720, 960]],
      [`${prefix}.mlp.gate_proj.weight`, [2048, 720]],
      [`${prefix}.mlp.up_proj.weight`, [2048, 720]],
      [`${prefix}.mlp.down_proj.weight`, [720, 2048]],
      [`${prefix}.input_layernorm.weight`, [720]],
      [`${prefix}.post_attention_layernorm.weight`, [720]],
    ];
  };
  const linear = (name: string, outputs: number, inputs: number): [string, number[]][] => [[`model.${name}.weight`, [outputs, inputs]], [`model.${name}.bias`, [outputs]]];
  return [
    ...Array.from({ length: LAYERS }, (_, index) => layer(index)).flat(),
    ['model.vlm_with_expert.lm_expert.norm.weight', [720]],
    ...linear('state_proj', 960, 32),
    ...linear('action_in_proj', 720, 32),
    ...linear('action_out_proj', 32, 720),
    ...linear('action_time_mlp_in', 720, 1440),
    ...linear('action_time_mlp_out', 720, 720),
  ];
}

/** A model, and what a client made of it. */
function models(): { readonly base: Parameters; readonly update: Parameters } {
  const base = new Map<string, Float32Tensor>();
  const update = new Map<string, Float32Tensor>();
  for (const [name, shape] of shapes()) {
    const random = new Random(name);
    const columns = shape.at(-1)!;
    const weights = random.fillNormal(new Float32Array(shape.reduce((product, size) => product * size, 1)));
    const changes = random.fillNormal(new Float32Array(weights.length));
    const rows = random.fillNormal(new Float32Array(Math.ceil(weights.length / columns)));
    for (let index = 0; index < weights.length; index++) {
      weights[index] = name.includes('norm') ? 1 + 0.1 * weights[index]! : 0.03 * weights[index]!;
      changes[index] = weights[index]! + 5e-4 * Math.exp(0.7 * rows[Math.floor(index / columns)]!) * changes[index]!;
    }
    base.set(name, { shape, data: weights });
    update.set(name, { shape, data: changes });
  }
  return { base, update };
}

/** Reads every value, as a strategy does. */
async function readThrough(source: TensorSource, take: (name: string, first: number, values: Float32Array) => void = () => undefined): Promise<void> {
  const values = new Float32Array(BLOCK);
  for (const { name, shape } of source.specs) {
    const count = shape.reduce((product, size) => product * size, 1);
    for (let first = 0; first < count; first += BLOCK) {
      const part = values.subarray(0, Math.min(BLOCK, count - first));
      await source.readBytes(name, 4 * first, new Uint8Array(part.buffer, 0, part.byteLength));
      take(name, first, part);
    }
  }
}

/** Seconds of processor time, which others on the machine hardly change. */
async function seconds(work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

const { base, update } = models();
const [baseSource, updateSource] = [base, update].map((parameters) => MemoryTensorSource.fromParameters(parameters)) as [MemoryTensorSource, MemoryTensorSource];
const count = [...base.values()].reduce((sum, { data }) => sum + data.length, 0);
const whole = encodeParameters(update).byteLength;
let squares = 0;
for (const [name, { data }] of update) {
  const before = base.get(name)!.data;
  for (let index = 0; index < data.length; index++) squares += (data[index]! - before[index]!) ** 2;
}
log(`${cpus()[0]?.model ?? 'unknown CPU'}, ${availableParallelism()} cores, Node ${process.version}; ${(count / 1e6).toFixed(1)} M weights in ${base.size} tensors\n`);
log('| encoding | bytes | of float32 | encode | residual | decode | error of the change |');
log('| --- | ---: | ---: | ---: | ---: | ---: | ---: |');
log(`| float32 | ${(whole / 1e6).toFixed(1)} MB | 100 % | ${(await seconds(() => Promise.resolve(encodeParameters(update)))).toFixed(2)} s | – | – | 0 |`);
for (const encoding of ['bfloat16', 'int8', 'int4', 'ternary', 'compressed', 'delta'] satisfies PackedEncoding[]) {
  // The second of two: compiled, and memory at hand.
  await encodeUpdate(updateSource, { encoding, base: baseSource, baseHash: BASE_HASH });
  let encoded: EncodedUpdate | undefined;
  let byteLength = 0;
  const encodeSeconds = await seconds(async () => {
    encoded = await encodeUpdate(updateSource, { encoding, base: baseSource, baseHash: BASE_HASH });
    ({ byteLength } = encodeSafetensors(encoded.tensors, encoded.metadata));
  });
  const { tensors, metadata, residual } = encoded!;
  const residualSeconds = residual === null ? null : await seconds(() => readThrough(residual));
  const decoded = decodeUpdate(new MemoryTensorSource(tensors), metadata, { encoding, base: baseSource, baseHash: BASE_HASH });
  const decodeSeconds = await seconds(() => readThrough(decoded.tensors));
  let errors = 0;
  await readThrough(decoded.tensors, (name, first, values) => {
    const [after, before] = [update.get(name)!.data, base.get(name)!.data];
    for (let index = 0; index < values.length; index++) {
      const found = decoded.kind === 'weights' ? values[index]! - before[first + index]! : values[index]!;
      errors += (found - (after[first + index]! - before[first + index]!)) ** 2;
    }
  });
  log(
    `| ${encoding} | ${(byteLength / 1e6).toFixed(1)} MB | ${((100 * byteLength) / whole).toFixed(1)} % | ${encodeSeconds.toFixed(2)} s | ` +
      `${residualSeconds === null ? '–' : `${residualSeconds.toFixed(2)} s`} | ${decodeSeconds.toFixed(2)} s | ${(100 * Math.sqrt(errors / squares)).toFixed(2)} % |`,
  );
}
log(`\npeak memory ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MB, of which the two models are ${((2 * whole) / 1e6).toFixed(0)} MB`);
