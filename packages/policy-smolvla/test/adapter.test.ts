import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decodeSafetensors, encodeSafetensors, type FitResult, type Float32Tensor, type Parameters } from '@zk0/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mergeAdapter, readAdapterConfig } from '../src/checkpoint/adapter.ts';
import { saveAdapter } from '../src/checkpoint/save-adapter.ts';
import { convertCheckpoint, convertToAdapter, openPolicy, type OpenPolicyOptions, type SmolVlaPolicy } from '../src/index.ts';
import { factorName, mergeFactors } from '../src/model/lora.ts';
import { trainedWeightSpecs } from '../src/model/weights.ts';
import { loadCase, relativeError } from './golden-files.ts';
import { normalizerOf, syntheticDataset } from './synthetic-dataset.ts';
import { tinyWorkspace } from './tiny-policy.ts';

const features = { stateSize: 6, actionSize: 6, cameras: ['observation.images.top', 'observation.images.wrist'] };
const instructions = { round: 1, seed: 'fit', localSteps: 8, batchSize: 4, learningRate: 5e-3, proximalMu: 0.01 };
const LORA = { rank: 16, alpha: 8 };
const golden = loadCase('lora/case');
const goldenAdapter = fileURLToPath(new URL('../golden/lora/adapter', import.meta.url));

let workspace: Awaited<ReturnType<typeof tinyWorkspace>>;
const open: SmolVlaPolicy[] = [];
const learned = new Map<string, FitResult>();

beforeAll(async () => {
  workspace = await tinyWorkspace();
});

afterAll(async () => {
  for (const policy of open) await policy.close();
  await workspace.remove();
});

async function policyOf(source: string, options: OpenPolicyOptions = {}): Promise<SmolVlaPolicy> {
  const policy = await openPolicy(source, { device: 'cpu', threads: 1, features, cacheDirectory: workspace.root, ...options });
  open.push(policy);
  return policy;
}

/** A round with LoRA from the tiny policy. */
async function fit(options: OpenPolicyOptions = {}, changes: Partial<typeof instructions> = {}): Promise<FitResult> {
  const key = JSON.stringify([options, changes]);
  const known = learned.get(key);
  if (known !== undefined) return known;
  const policy = await policyOf(workspace.checkpoint, { lora: LORA, ...options });
  const learner = policy.learner(syntheticDataset(), { normalizer: normalizerOf(syntheticDataset()), cache: 'prefix' });
  const result = await learner.fit(await policy.initialParameters(), { ...instructions, ...changes });
  await learner.close();
  learned.set(key, result);
  return result;
}

function flat(parameters: Parameters, minus?: Parameters): Float32Array {
  return Float32Array.from([...parameters].flatMap(([name, { data }]) => [...data].map((value, at) => value - (minus?.get(name)!.data[at] ?? 0))));
}

function goldenWeights(prefix: string): Parameters {
  const specs = trainedWeightSpecs({ ...golden.model, lora: LORA });
  return new Map(specs.map(({ name, shape }): [string, Float32Tensor] => [name, { shape, data: golden.floats(`${prefix}${name}`) }]));
}

async function folder(): Promise<string> {
  return mkdtemp(join(workspace.root, 'adapter-'));
}

describe('a round with LoRA', { timeout: 120_000 }, () => {
  it('gives factors, and the weights that they make of those it was given', async () => {
    const policy = await policyOf(workspace.checkpoint, { lora: LORA });
    const initial = await policy.initialParameters();
    const { parameters, factors, metrics } = await fit();
    expect([...parameters.keys()]).toEqual([...initial.keys()]);
    expect([...factors!.keys()].sort()).toEqual([...initial.keys()].flatMap((name) => [factorName(name, 'A'), factorName(name, 'B')]).sort());
    expect(parameters).toEqual(mergeFactors(policy.config.model, initial, factors!));
    for (const [name, { data }] of parameters) expect(relativeError(data, initial.get(name)!.data), name).toBeGreaterThan(1e-6);
    expect(metrics['param_update_norm']).toBeCloseTo(Math.sqrt(flat(parameters, initial).reduce((sum, value) => sum + value * value, 0)), 5);
  });

  it.each([{ training: 'stepwise' }, { training: 'loop', stepsPerRun: 3 }] as const)('gives the same with $training', async (place) => {
    const initial = await (await policyOf(workspace.checkpoint, { lora: LORA })).initialParameters();
    const [here, host] = [await fit(place), await fit()];
    expect(relativeError(flat(here.parameters, initial), flat(host.parameters, initial))).toBeLessThan(1e-3);
  });

  it('learns, and leaves everything else of the expert alone', async () => {
    const policy = await policyOf(workspace.checkpoint, { lora: LORA });
    const learner = policy.learner(syntheticDataset(), { normalizer: normalizerOf(syntheticDataset()), cache: 'prefix' });
    const samples = { seed: 'held-out', batches: 4, batchSize: 8 };
    const before = await learner.evaluate(await policy.initialParameters(), samples);
    const { parameters } = await fit({}, { localSteps: 40, learningRate: 2e-2 });
    const after = await learner.evaluate(parameters, samples);
    await learner.close();
    expect(after.loss).toBeLessThan(0.9 * before.loss);
    const directory = join(await folder(), 'whole');
    await policy.saveCheckpoint(directory, parameters, { normalizer: normalizerOf(syntheticDataset()) });
    const [whole, first] = [await (await policyOf(directory)).initialParameters(), await (await policyOf(workspace.checkpoint)).initialParameters()];
    for (const [name, tensor] of whole) expect(tensor, name).toEqual(parameters.get(name) ?? first.get(name));
    expect(whole.size).toBeGreaterThan(parameters.size);
  });

  it('is refused where gradients of weights are corrected, and where moments are kept', async () => {
    const policy = await policyOf(workspace.checkpoint, { lora: LORA });
    const initial = await policy.initialParameters();
    const learner = policy.learner(syntheticDataset(), { normalizer: normalizerOf(syntheticDataset()), cache: 'prefix' });
    const specs = [...initial].map(([name, { shape }]) => ({ name, dtype: 'F32' as const, shape }));
    const correction = { specs, readBytes: () => Promise.resolve() };
    await expect(learner.fit(initial, instructions, { correction })).rejects.toMatchObject({ code: 'POLICY_UNSUPPORTED' });
    const optimizer = { state: null, keep: () => Promise.resolve() };
    await expect(learner.fit(initial, instructions, { optimizer })).rejects.toMatchObject({ code: 'POLICY_UNSUPPORTED', message: expect.stringMatching(/begin anew in every round/) as string });
    await learner.close();
  });

  it('belongs to a base with the rest of the expert in it', async () => {
    const [adapted, again, whole] = [await policyOf(workspace.checkpoint, { lora: LORA }), await policyOf(workspace.checkpoint, { lora: { rank: 32, alpha: 32 } }), await policyOf(workspace.checkpoint)];
    expect(adapted.baseHash).not.toBe(whole.baseHash);
    expect(again.baseHash).toBe(adapted.baseHash);
    expect(adapted.parameterSpecs.length).toBeLessThan(whole.parameterSpecs.length);
  });
});

describe('an adapter', { timeout: 120_000 }, () => {
  /** A checkpoint after one round of LoRA, and an adapter made of it. */
  async function exported(form: 'full' | 'trained'): Promise<{ readonly adapter: string; readonly residual: number; readonly parameters: Parameters; readonly checkpoint: string }> {
    const { parameters } = await fit();
    const home = await folder();
    const policy = await policyOf(workspace.checkpoint, { lora: LORA });
    await policy.saveCheckpoint(join(home, form), parameters, { normalizer: normalizerOf(syntheticDataset()), form });
    const adapter = join(home, 'adapter');
    const { residual } = await convertToAdapter(join(home, form), adapter, { base: workspace.checkpoint, rank: 16, cacheDirectory: workspace.root });
    return { adapter, residual, parameters, checkpoint: join(home, form) };
  }

  it.each(['full', 'trained'] as const)('made of a %s checkpoint of one round is opened as the same policy', async (form) => {
    const { adapter, residual, parameters } = await exported(form);
    expect(residual).toBeLessThan(1e-4);
    const policy = await policyOf(adapter, { lora: LORA });
    const initial = await (await policyOf(workspace.checkpoint, { lora: LORA })).initialParameters();
    expect(relativeError(flat(await policy.initialParameters(), initial), flat(parameters, initial))).toBeLessThan(1e-4);
    expect(policy.normalizer).toEqual((await policyOf(adapter, { lora: LORA })).normalizer);
    expect(policy.features).toEqual(features);
    const { tensors } = decodeSafetensors(new Uint8Array(await readFile(join(adapter, 'adapter_model.safetensors'))));
    expect(tensors.every(({ name }) => /^base_model\.model\.model\..*\.lora_[AB]\.weight$/.test(name))).toBe(true);
  });

  it('of PEFT is read as PEFT merges it', async () => {
    const merged = await mergeAdapter(goldenAdapter, await readAdapterConfig(goldenAdapter), goldenWeights('weight/'));
    expect([...merged.keys()].sort()).toEqual(golden.under('merged/').sort());
    for (const [name, { data }] of merged) expect(relativeError(data, golden.floats(`merged/${name}`)), name).toBeLessThan(1e-6);
  });

  it('written and read again is the same policy', async () => {
    const directory = join(await folder(), 'adapter');
    const [before, after] = [goldenWeights('weight/'), goldenWeights('merged/')];
    const { residual, changed } = await saveAdapter(directory, before, after, {}, { rank: 16, base: 'zk0/tiny', revision: undefined, from: workspace.checkpoint });
    expect(residual).toBeLessThan(1e-5);
    expect(changed).toBe(after.size);
    const merged = await mergeAdapter(directory, await readAdapterConfig(directory), before);
    for (const [name, { data }] of after) expect(relativeError(merged.get(name)!.data, data), name).toBeLessThan(1e-5);
    const written = JSON.parse(await readFile(join(directory, 'adapter_config.json'), 'utf8')) as Record<string, unknown>;
    const theirs = JSON.parse(await readFile(join(goldenAdapter, 'adapter_config.json'), 'utf8')) as Record<string, unknown>;
    for (const field of ['peft_type', 'target_modules', 'auto_mapping', 'bias', 'r', 'base_model_name_or_path']) expect(written[field], field).toEqual(theirs[field]);
    expect(Object.keys(theirs)).toEqual(expect.arrayContaining(Object.keys(written)));
  });

  it('of a lower rank than the change says what it leaves out', async () => {
    const { checkpoint } = await exported('full');
    const report = await convertToAdapter(checkpoint, join(await folder(), 'adapter'), { base: workspace.checkpoint, rank: 2, cacheDirectory: workspace.root });
    expect(report.residual).toBeGreaterThan(0.01);
    expect(report.residual).toBeLessThan(1);
  });

  it('counts as PEFT counts it with rank stabilisation and patterns of alpha', async () => {
    const change = async (fields: Record<string, unknown>): Promise<Parameters> => {
      const directory = await folder();
      await cp(goldenAdapter, directory, { recursive: true });
      const file = join(directory, 'adapter_config.json');
      await writeFile(file, JSON.stringify({ ...(JSON.parse(await readFile(file, 'utf8')) as object), ...fields }));
      return mergeAdapter(directory, await readAdapterConfig(directory), goldenWeights('weight/'));
    };
    const before = goldenWeights('weight/');
    const [plain, stabilised, patterned] = [await change({}), await change({ use_rslora: true }), await change({ alpha_pattern: { state_proj: 80 } })];
    const moved = (parameters: Parameters, name: string): Float32Array => parameters.get(name)!.data.map((value, at) => value - before.get(name)!.data[at]!);
    const [state, other] = ['model.state_proj.weight', 'model.action_in_proj.weight'];
    expect(relativeError(moved(stabilised, other), moved(plain, other).map((value) => 4 * value))).toBeLessThan(1e-5);
    expect(relativeError(moved(patterned, state), moved(plain, state).map((value) => 10 * value))).toBeLessThan(1e-5);
    expect(moved(patterned, other)).toEqual(moved(plain, other));
  });

  it('that cannot be read as it is meant is refused by name', async () => {
    const { adapter } = await exported('full');
    const broken = async (fields: Record<string, unknown>, tensors?: (names: { name: string; dtype: 'F32'; shape: readonly number[]; data: Uint8Array }[]) => void): Promise<string> => {
      const directory = await folder();
      await cp(adapter, directory, { recursive: true });
      const config = join(directory, 'adapter_config.json');
      await writeFile(config, JSON.stringify({ ...(JSON.parse(await readFile(config, 'utf8')) as object), ...fields }));
      if (tensors === undefined) return directory;
      const file = join(directory, 'adapter_model.safetensors');
      const found = decodeSafetensors(new Uint8Array(await readFile(file))).tensors.map(({ name, shape, data }) => ({ name, dtype: 'F32' as const, shape, data }));
      tensors(found);
      await writeFile(file, encodeSafetensors(found, {}));
      return directory;
    };
    const opening = (directory: string): Promise<SmolVlaPolicy> => policyOf(directory);
    await expect(opening(await broken({ use_dora: true }))).rejects.toMatchObject({ code: 'POLICY_UNSUPPORTED', message: expect.stringMatching(/use_dora/) as string });
    await expect(opening(await broken({ bias: 'all' }))).rejects.toThrow(/bias is all/);
    await expect(opening(await broken({ base_model_name_or_path: null }))).rejects.toMatchObject({ code: 'POLICY_WEIGHTS_MISSING', hint: expect.stringMatching(/--base/) as string });
    await expect(opening(await broken({}, (all) => all.splice(0, 1)))).rejects.toThrow(/has one factor only/);
    await expect(opening(await broken({}, (all) => {
      for (const tensor of all) tensor.name = tensor.name.replace(/model\.state_proj/, 'model.vlm_with_expert.vlm.lm_head');
    }))).rejects.toMatchObject({
      code: 'POLICY_UNSUPPORTED', message: expect.stringMatching(/lm_head.weight, which is frozen/) as string,
    });
    const gone = await broken({});
    await rm(join(gone, 'adapter_model.safetensors'));
    await expect(opening(gone)).rejects.toMatchObject({ code: 'POLICY_WEIGHTS_MISSING' });
  });

  it('cannot be made of what was trained without LoRA, or without its base', async () => {
    const policy = await policyOf(workspace.checkpoint);
    const initial = await policy.initialParameters();
    const home = await folder();
    const all = new Map([...initial].map(([name, { shape, data }]): [string, Float32Tensor] => [name, { shape, data: data.map((value) => value + 1e-3) }]));
    await policy.saveCheckpoint(join(home, 'full'), all, { normalizer: normalizerOf(syntheticDataset()) });
    const convert = (base?: string): Promise<unknown> => convertToAdapter(join(home, 'full'), join(home, 'adapter'), { rank: 16, cacheDirectory: workspace.root, ...(base !== undefined && { base }) });
    await expect(convert(workspace.checkpoint)).rejects.toMatchObject({ code: 'POLICY_UNSUPPORTED', message: expect.stringMatching(/weights that LoRA does not adapt/) as string });
    await expect(convert()).rejects.toThrow(/does not say what it was trained from/);
  });

  it('can be converted to a whole policy and back', async () => {
    const { adapter, parameters } = await exported('trained');
    const whole = join(await folder(), 'whole');
    await convertCheckpoint(adapter, whole, { form: 'full', cacheDirectory: workspace.root });
    const found = await (await policyOf(whole, { lora: LORA })).initialParameters();
    expect(relativeError(flat(found), flat(parameters))).toBeLessThan(1e-6);
  });
});
