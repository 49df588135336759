import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeBfloat16, encodeFloat16, type Normalizer } from '@zk0/core';
import { createSafetensors, openSafetensors } from '@zk0/storage';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { syntheticDataset } from '../../test/synthetic-dataset.ts';
import { tinyWorkspace } from '../../test/tiny-policy.ts';
import { openPolicy } from '../open-policy.ts';
import type { OpenPolicyOptions } from '../policy.ts';

const CAMERAS = ['observation.images.wrist', 'observation.images.top'];
const FEATURES = { stateSize: 2, actionSize: 2, cameras: CAMERAS };
const NORMALIZER: Normalizer = { state: { mean: [1, -2], std: [0.5, 2] }, action: { mean: [3, 4], std: [1, 0.25] } };
const STATE_FILE = 'policy_preprocessor_step_5_normalizer_processor.safetensors';

let workspace: Awaited<ReturnType<typeof tinyWorkspace>>;
let saved: string;
beforeAll(async () => {
  workspace = await tinyWorkspace();
  saved = join(workspace.root, 'saved');
  const policy = await openPolicy(workspace.checkpoint, { device: 'cpu', features: FEATURES });
  await policy.saveCheckpoint(saved, await policy.initialParameters(), { normalizer: NORMALIZER });
  await policy.close();
});
afterAll(async () => {
  await workspace.remove();
});

async function copy(): Promise<string> {
  const directory = await mkdtemp(join(workspace.root, 'copy-'));
  await cp(saved, directory, { recursive: true });
  return directory;
}

type Values = Readonly<Record<string, readonly number[]>>;
const PLAIN: Values = {
  'observation.state.mean': NORMALIZER.state.mean,
  'observation.state.std': NORMALIZER.state.std,
  'action.mean': NORMALIZER.action.mean,
  'action.std': NORMALIZER.action.std,
};

/** The saved checkpoint with other statistics. */
async function withStatistics(values: Values, dtype: 'F32' | 'F64' | 'F16' | 'BF16' = 'F32'): Promise<string> {
  const directory = await copy();
  const path = join(directory, STATE_FILE);
  await rm(path);
  const specs = Object.entries(values).map(([name, list]) => ({ name, dtype, shape: [list.length] }));
  const writer = await createSafetensors(path, specs, { metadata: {} });
  for (const [name, list] of Object.entries(values)) {
    const floats = Float32Array.from(list);
    const bytes =
      dtype === 'F64' ? Float64Array.from(list) : dtype === 'F32' ? floats : (dtype === 'F16' ? encodeFloat16 : encodeBfloat16)(floats, new Uint16Array(list.length));
    await writer.writeBytes(name, 0, new Uint8Array(bytes.buffer));
  }
  await writer.commit();
  return directory;
}

async function normalizerOf(directory: string, options: OpenPolicyOptions = {}): Promise<Normalizer | undefined> {
  const policy = await openPolicy(directory, { device: 'cpu', ...options });
  try {
    return policy.normalizer;
  } finally {
    await policy.close();
  }
}

const ofSet = (set: string, factor: number): Values =>
  Object.fromEntries(Object.entries(PLAIN).map(([name, list]) => [`${set}.buffer.${name}`, list.map((value) => value * factor)]));
const times = (factor: number): Normalizer => {
  const scale = ({ mean, std }: Normalizer['state']): Normalizer['state'] => ({ mean: mean.map((v) => v * factor), std: std.map((v) => v * factor) });
  return { state: scale(NORMALIZER.state), action: scale(NORMALIZER.action) };
};

describe('statistics of a checkpoint', () => {
  it.each(['F64', 'F32', 'F16', 'BF16'] as const)('are read as %s', async (dtype) => {
    expect(await normalizerOf(await withStatistics(PLAIN, dtype))).toEqual(NORMALIZER);
  });

  it('of several data sets are an error that lists them, unless one is chosen', async () => {
    const directory = await withStatistics({ ...ofSet('so100', 1), ...ofSet('so100-blue', 2) });
    await expect(normalizerOf(directory)).rejects.toMatchObject({
      code: 'STATISTICS_AMBIGUOUS',
      message: expect.stringContaining('statistics of 2 data sets: so100, so100-blue') as string,
    });
    expect(await normalizerOf(directory, { statistics: 'so100-blue' })).toEqual(times(2));
    await expect(normalizerOf(directory, { statistics: 'so101' })).rejects.toMatchObject({
      message: expect.stringContaining('no normalisation statistics of "so101": so100, so100-blue') as string,
    });
  });

  it('of one data set are its own, and plain ones come first', async () => {
    expect(await normalizerOf(await withStatistics(ofSet('so100', 2)))).toEqual(times(2));
    expect(await normalizerOf(await withStatistics({ ...PLAIN, ...ofSet('so100', 2) }))).toEqual(NORMALIZER);
  });

  it.each([
    ['other names', { 'joints.average': [1, 2], 'joints.spread': [1, 2] }],
    ['one of two features', { 'observation.state.mean': [1, 2], 'observation.state.std': [1, 2] }],
    ['another statistic', { ...ofSet('a', 1), 'observation.state.q01': [1, 2], 'a.buffer.action.std': undefined }],
  ])('under %s are an error that lists them, and keep nobody from training with others', async (_, values) => {
    const listed = Object.fromEntries(Object.entries(values).filter(([, list]) => list !== undefined)) as Values;
    const directory = await withStatistics(listed);
    await expect(normalizerOf(directory)).rejects.toMatchObject({
      code: 'STATISTICS_AMBIGUOUS',
      message: expect.stringContaining(Object.keys(listed).sort()[0]!) as string,
    });
    const policy = await openPolicy(directory, { device: 'cpu' });
    const dataset = syntheticDataset({ axes: 2, cameras: ['observation.images.top', 'observation.images.wrist'] });
    await policy.learner(dataset, { normalizer: NORMALIZER, cache: 'off' }).close();
    await policy.close();
  });

  it('among the weights of LeRobot before 0.4 may name their data set too', async () => {
    const directory = await copy();
    for (const file of ['policy_preprocessor.json', 'policy_postprocessor.json']) await rm(join(directory, file));
    const path = join(directory, 'model.safetensors');
    const source = await openSafetensors(path);
    const weights = await Promise.all(
      source.specs.map(async (spec) => {
        const { begin, end } = source.tensorLocation(spec.name);
        const data = new Uint8Array(end - begin);
        await source.readBytes(spec.name, 0, data);
        return { ...spec, data };
      }),
    );
    await source.close();
    await rm(path);
    const statistic = (name: string, list: readonly number[]): (typeof weights)[number] => {
      return { name, dtype: 'F32', shape: [list.length], data: new Uint8Array(Float32Array.from(list).buffer) };
    };
    for (const set of ['so100', 'so100-red']) {
      for (const part of ['mean', 'std'] as const) {
        weights.push(statistic(`normalize_inputs.${set}.buffer_observation_state.${part}`, NORMALIZER.state[part]));
        weights.push(statistic(`unnormalize_outputs.${set}.buffer_action.${part}`, NORMALIZER.action[part]));
      }
    }
    const writer = await createSafetensors(path, weights, { metadata: {} });
    for (const { name, data } of weights) await writer.writeBytes(name, 0, data);
    await writer.commit();
    await expect(normalizerOf(directory)).rejects.toMatchObject({ message: expect.stringContaining('2 data sets: so100, so100-red') as string });
    expect(await normalizerOf(directory, { statistics: 'so100-red' })).toEqual(NORMALIZER);
  });
});

describe('what a checkpoint takes', () => {
  it('is its own config.json to say, in its order, whatever the caller names', async () => {
    const policy = await openPolicy(saved, { device: 'cpu', features: { stateSize: 5, actionSize: 5, cameras: ['observation.images.a'] } });
    expect(policy.features).toEqual(FEATURES);
    expect(policy.featuresFrom).toBe('config');
    const again = join(workspace.root, 'again');
    await policy.saveCheckpoint(again, await policy.initialParameters());
    await policy.close();
    const { input_features } = JSON.parse(await readFile(join(again, 'config.json'), 'utf8')) as { input_features: object };
    expect(Object.keys(input_features)).toEqual(['observation.state', ...CAMERAS]);
    const preset = await openPolicy(workspace.checkpoint, { device: 'cpu', features: FEATURES });
    expect(preset.featuresFrom).toBe('options');
    await preset.close();
  });

  it('may go by its processor’s own renaming, which a copy keeps', async () => {
    const directory = await copy();
    const path = join(directory, 'policy_preprocessor.json');
    const json = JSON.parse(await readFile(path, 'utf8')) as { steps: { registry_name: string; config: object }[] };
    const map = { 'observation.images.front': 'observation.images.top', 'observation.images.hand': 'observation.images.wrist' };
    json.steps[0]!.config = { rename_map: map };
    await writeFile(path, JSON.stringify(json));
    const policy = await openPolicy(directory, { device: 'cpu' });
    expect(policy.renameMap).toEqual(map);
    const learner = policy.learner(syntheticDataset({ axes: 2, cameras: Object.keys(map) }), { normalizer: NORMALIZER, cache: 'off' });
    await learner.close();
    const again = join(workspace.root, 'renaming');
    await policy.saveCheckpoint(again, await policy.initialParameters());
    await policy.close();
    const reopened = await openPolicy(again, { device: 'cpu' });
    expect(reopened.renameMap).toEqual(map);
    await reopened.close();
  });
});

describe('tasks', () => {
  it('that are longer than the model reads are named, with how much of them it sees', async () => {
    const policy = await openPolicy(saved, { device: 'cpu' });
    const long = 'put the red cube into the bowl '.repeat(20);
    const cut = policy.cutTasks(['push', long]);
    await policy.close();
    expect(cut).toEqual([{ task: long, tokens: expect.any(Number) as number, kept: policy.config.tokenizerMaxLength }]);
    expect(cut[0]!.tokens).toBeGreaterThan(policy.config.tokenizerMaxLength);
  });
});

describe('what is no policy', () => {
  it('is named: an adapter of another kind, and what to do', async () => {
    const directory = await mkdtemp(join(workspace.root, 'adapter-'));
    await cp(join(saved, 'config.json'), join(directory, 'config.json'));
    await writeFile(join(directory, 'adapter_config.json'), '{"peft_type":"LOHA","base_model_name_or_path":"lerobot/smolvla_base","r":16}');
    await writeFile(join(directory, 'adapter_model.safetensors'), '');
    await expect(openPolicy(directory, { device: 'cpu' })).rejects.toMatchObject({
      code: 'POLICY_UNSUPPORTED',
      message: expect.stringContaining('its peft_type is LOHA, and only LORA is read') as string,
      hint: expect.stringContaining('merge_and_unload') as string,
    });
  });

  it.each(['model.safetensors', STATE_FILE, 'config.json', 'policy_preprocessor.json', 'policy_postprocessor.json', 'policy_recordings.json', 'vlm/tokenizer.json', 'vlm/preprocessor_config.json'])('is named: a git-lfs pointer in place of %s', async (file) => {
    const directory = await copy();
    await writeFile(join(directory, file), `version https://git-lfs.github.com/spec/v1\noid sha256:${'cd'.repeat(32)}\nsize 1000\n`);
    await expect(openPolicy(directory, { device: 'cpu' })).rejects.toMatchObject({
      code: 'FILE_POINTER',
      message: expect.stringContaining(`${file} is a git-lfs pointer`) as string,
    });
  });
});
