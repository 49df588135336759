import { cp, mkdtemp, open, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeBfloat16, SafetensorsError, Zk0Error, type TensorSpec } from '@zk0/core';
import { createSafetensors, openSafetensors } from '@zk0/storage';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tinyWorkspace } from '../../test/tiny-policy.ts';
import { openCheckpoint, type Checkpoint } from './checkpoint.ts';

let workspace: Awaited<ReturnType<typeof tinyWorkspace>>;
beforeAll(async () => {
  workspace = await tinyWorkspace();
});
afterAll(async () => {
  await workspace.remove();
});

async function copy(): Promise<string> {
  const directory = await mkdtemp(join(workspace.root, 'copy-'));
  await cp(workspace.checkpoint, directory, { recursive: true });
  return directory;
}

async function editConfig(edit: Record<string, unknown>): Promise<string> {
  const directory = await copy();
  const path = join(directory, 'config.json');
  await writeFile(path, JSON.stringify({ ...(JSON.parse(await readFile(path, 'utf8')) as object), ...edit }));
  return directory;
}

type Stored = readonly (TensorSpec & { readonly data: Uint8Array })[];

/** Writes the weights anew after `edit`. */
async function editWeights(edit: (tensors: Stored) => Stored, files?: (name: string) => string): Promise<string> {
  const directory = await copy();
  const path = join(directory, 'model.safetensors');
  const source = await openSafetensors(path);
  const tensors: (TensorSpec & { data: Uint8Array })[] = [];
  for (const spec of source.specs) {
    const { begin, end } = source.tensorLocation(spec.name);
    const data = new Uint8Array(end - begin);
    await source.readBytes(spec.name, 0, data);
    tensors.push({ ...spec, data });
  }
  await source.close();
  await rm(path);
  const edited = edit(tensors);
  const fileOf = (name: string): string => files?.(name) ?? 'model.safetensors';
  for (const file of new Set(edited.map(({ name }) => fileOf(name)))) {
    const members = edited.filter(({ name }) => fileOf(name) === file);
    const writer = await createSafetensors(join(directory, file), members);
    for (const { name, data } of members) await writer.writeBytes(name, 0, data);
    await writer.commit();
  }
  if (files !== undefined) {
    const weight_map = Object.fromEntries(tensors.map(({ name }) => [name, files(name)]));
    await writeFile(join(directory, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map }));
  }
  return directory;
}

async function opened<T>(directory: string, use: (checkpoint: Checkpoint) => T | Promise<T>): Promise<T> {
  const checkpoint = await openCheckpoint(directory);
  try {
    return await use(checkpoint);
  } finally {
    await checkpoint.weights.close();
  }
}

describe('a checkpoint', () => {
  it('may be sharded: the same base', async () => {
    const base = await opened(workspace.checkpoint, ({ baseHash }) => baseHash);
    const sharded = await editWeights(
      (tensors) => tensors,
      (name) => (name.includes('expert') ? 'model-00002-of-00002.safetensors' : 'model-00001-of-00002.safetensors'),
    );
    expect(await opened(sharded, ({ baseHash }) => baseHash)).toBe(base);
  });

  it('may hold bfloat16 weights, names of compiled models, and no language head', async () => {
    const directory = await editWeights((tensors) =>
      tensors
        .filter(({ name }) => !name.endsWith('lm_head.weight'))
        .map(({ name, shape, data }) => {
          const values = new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4);
          const bits = encodeBfloat16(values, new Uint16Array(values.length));
          return { name: name.replace('model.', 'model._orig_mod.'), dtype: 'BF16', shape, data: new Uint8Array(bits.buffer) };
        }),
    );
    await opened(directory, ({ weights }) => {
      expect(weights.has('model.action_out_proj.weight')).toBe(true);
      expect(weights.place('model.action_out_proj.weight').dtype).toBe('BF16');
    });
  });

  it('may carry the statistics of LeRobot before 0.4 among its weights', async () => {
    const statistic = (name: string, values: readonly number[]): Stored[number] => ({
      name,
      dtype: 'F32',
      shape: [values.length],
      data: new Uint8Array(Float32Array.from(values).buffer),
    });
    const withStats = (std: readonly number[]): Promise<string> =>
      editWeights((tensors) => [
        ...tensors,
        statistic('normalize_inputs.buffer_observation_state.mean', [1, 2]),
        statistic('normalize_inputs.buffer_observation_state.std', std),
        statistic('normalize_targets.buffer_action.mean', [9]),
        statistic('unnormalize_outputs.buffer_action.mean', [3]),
        statistic('unnormalize_outputs.buffer_action.std', [4]),
      ]);
    const normalizer = { state: { mean: [1, 2], std: [0.5, 2] }, action: { mean: [3], std: [4] } };
    expect(await opened(await withStats([0.5, 2]), (checkpoint) => checkpoint.normalizer)).toEqual(normalizer);
    expect(await opened(await withStats([Infinity, 2]), (checkpoint) => checkpoint.normalizer)).toBeUndefined();
  });

  it('may have keys that mean nothing here, and sizes that LeRobot writes as 0', async () => {
    const features = { 'observation.images.robo': { type: 'VISUAL', shape: [3, 480, 640] } };
    const directory = await editConfig({ use_amp: false, prefix_length: 0, num_expert_layers: 0, input_features: features });
    await opened(directory, ({ config }) => {
      expect(config.inputFeatures).toEqual(features);
    });
  });
});

describe('a checkpoint without the weights of its vision-language model', () => {
  const VLM = 'model.vlm_with_expert.vlm.';
  const isVlm = (name: string): boolean => name.startsWith(VLM);

  /** Its VLM's tensors are in the VLM's folder, under their own names, beside a layer that the policy leaves away. */
  async function separated(config: Record<string, unknown>): Promise<string> {
    let vlm: Stored = [];
    const directory = await editWeights((tensors) => {
      vlm = tensors.filter(({ name }) => isVlm(name));
      return tensors.filter(({ name }) => !isVlm(name));
    });
    const deeper: Stored = [...vlm, { ...vlm[0]!, name: `${VLM}model.text_model.layers.31.input_layernorm.weight` }];
    const writer = await createSafetensors(
      join(directory, 'vlm', 'model.safetensors'),
      deeper.map(({ name, dtype, shape }) => ({ name: name.slice(VLM.length), dtype, shape })),
    );
    for (const { name, data } of deeper) await writer.writeBytes(name.slice(VLM.length), 0, data);
    await writer.commit();
    const path = join(directory, 'config.json');
    await writeFile(path, JSON.stringify({ ...(JSON.parse(await readFile(path, 'utf8')) as object), ...config }));
    return directory;
  }

  it('takes them from there with load_vlm_weights: the same base', async () => {
    const whole = await opened(workspace.checkpoint, ({ baseHash }) => baseHash);
    await opened(await separated({ load_vlm_weights: true }), ({ baseHash, weights }) => {
      expect(baseHash).toBe(whole);
      expect(weights.has(`${VLM}model.text_model.layers.31.input_layernorm.weight`)).toBe(false);
    });
  });

  it('is refused without it, and where they are nowhere', async () => {
    const missing = { code: 'POLICY_TENSORS_MISMATCH', message: expect.stringContaining(`missing: ${VLM}`) as string };
    await expect(openCheckpoint(await separated({ load_vlm_weights: false }))).rejects.toMatchObject(missing);
    const nowhere = await separated({ load_vlm_weights: true });
    await rm(join(nowhere, 'vlm', 'model.safetensors'));
    await expect(openCheckpoint(nowhere)).rejects.toMatchObject(missing);
  });
});

describe('a checkpoint is refused', () => {
  it.each<[string, () => Promise<string>, string, RegExp]>([
    ['that is not there', () => Promise.resolve('/nowhere/at/all'), 'POLICY_NOT_FOUND', /\/nowhere\/at\/all/],
    [
      'without config.json',
      async () => {
        const directory = await copy();
        await rm(join(directory, 'config.json'));
        return directory;
      },
      'POLICY_NOT_FOUND',
      /config\.json/,
    ],
    [
      'without weights',
      async () => {
        const directory = await copy();
        await rm(join(directory, 'model.safetensors'));
        return directory;
      },
      'POLICY_WEIGHTS_MISSING',
      /has no model\.safetensors/,
    ],
    ['of another policy', () => editConfig({ type: 'pi0' }), 'POLICY_CONFIG_INVALID', /config\.json: type/],
    ['with a size that is none', () => editConfig({ chunk_size: -1 }), 'POLICY_CONFIG_INVALID', /chunk_size/],
    ['with more steps than actions', () => editConfig({ n_action_steps: 60 }), 'POLICY_CONFIG_INVALID', /n_action_steps 60 .* chunk_size/],
    ['with more layers than its model', () => editConfig({ num_vlm_layers: 3 }), 'POLICY_CONFIG_INVALID', /num_vlm_layers 3/],
    ['with joint conversions', () => editConfig({ adapt_to_pi_aloha: true }), 'POLICY_UNSUPPORTED', /adapt_to_pi_aloha/],
    ['with an unknown attention', () => editConfig({ attention_mode: 'diagonal' }), 'POLICY_UNSUPPORTED', /attention_mode/],
    [
      'with another normalisation',
      () => editConfig({ normalization_mapping: { STATE: 'MIN_MAX' } }),
      'POLICY_UNSUPPORTED',
      /normalization_mapping\.STATE/,
    ],
    [
      'without a tokenizer',
      async () => {
        const directory = await copy();
        await rm(join(directory, 'vlm'), { recursive: true });
        return directory;
      },
      'TOKENIZER_INVALID',
      /no tokenizer\.json/,
    ],
    [
      'with tensors missing and left over',
      () => editWeights((tensors) => [...tensors.slice(3), { name: 'stranger', dtype: 'U8', shape: [1], data: new Uint8Array(1) }]),
      'POLICY_TENSORS_MISMATCH',
      /missing: model\.[^;]*, model\.[^;]*; not part of this architecture: stranger/,
    ],
    [
      'with tensors of another shape',
      () => editConfig({ max_action_dim: 16 }),
      'POLICY_TENSORS_MISMATCH',
      /of another shape: model\.action_in_proj\.weight \[24, 8\] instead of \[24, 16\]/,
    ],
    [
      'with weights of a wrong dtype',
      () => editWeights((tensors) => tensors.map((tensor, index) => (index === 0 ? { ...tensor, dtype: 'I32' } : tensor))),
      'POLICY_TENSORS_MISMATCH',
      /unsupported dtype: model\..* I32/,
    ],
  ])('%s', async (_what, make, code, message) => {
    const failure = await openCheckpoint(await make()).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code, message: expect.stringMatching(message) as string, hint: expect.any(String) as string });
  });

  it('with damaged weights, naming the file, and never with another kind of error', async () => {
    const directory = await copy();
    const path = join(directory, 'model.safetensors');
    const original = await readFile(path);
    const header = Number(original.readBigUInt64LE(0)) + 8;
    await fc.assert(
      fc.asyncProperty(fc.nat(header - 1), fc.integer({ min: 0, max: 255 }), fc.boolean(), async (at, value, cut) => {
        await writeFile(path, original);
        if (cut) await truncate(path, at);
        else {
          const handle = await open(path, 'r+');
          await handle.write(Uint8Array.of(value), 0, 1, at);
          await handle.close();
        }
        const failure = await openCheckpoint(directory).then(
          (checkpoint) => checkpoint.weights.close(),
          (error: unknown) => error,
        );
        if (failure === undefined) return;
        expect(failure).toBeInstanceOf(Zk0Error);
        if (failure instanceof SafetensorsError) expect(failure.message).toContain(path);
      }),
      { numRuns: 60 },
    );
    expect((await readdir(directory)).sort()).toEqual(['config.json', 'model.safetensors', 'vlm']);
  });
});
