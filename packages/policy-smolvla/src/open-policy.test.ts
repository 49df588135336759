import { cp, open as openFile, readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { hashParameters, type Parameters } from '@zk0/core';
import { openSafetensors } from '@zk0/storage';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tinyWorkspace } from '../test/tiny-policy.ts';
import { convertCheckpoint } from './convert-checkpoint.ts';
import { openPolicy } from './open-policy.ts';
import type { OpenPolicyOptions, SmolVlaPolicy } from './policy.ts';

const features = { stateSize: 6, actionSize: 5, cameras: ['observation.images.top', 'observation.images.wrist'] };
const normalizer = {
  state: { mean: [1, 2, 3, 4, 5, 6], std: [1, 1, 2, 2, 3, 3] },
  action: { mean: [1, 2, 3, 4, 5], std: [0.5, 1, 2, 2, 3] },
};

let workspace: Awaited<ReturnType<typeof tinyWorkspace>>;
const opened: SmolVlaPolicy[] = [];

async function open(source = workspace.checkpoint, options: OpenPolicyOptions = {}): Promise<SmolVlaPolicy> {
  const policy = await openPolicy(source, { device: 'cpu', threads: 1, cacheDirectory: workspace.root, ...options });
  opened.push(policy);
  return policy;
}

beforeAll(async () => {
  workspace = await tinyWorkspace();
});

afterAll(async () => {
  for (const policy of opened) await policy.close();
  await workspace.remove();
});

function moved(parameters: Parameters): Parameters {
  return new Map([...parameters].map(([name, { shape, data }]) => [name, { shape, data: data.map((value) => value + 0.25) }]));
}

describe('the small preset', () => {
  it('is generated once, with both kinds of layers and a few million parameters', async () => {
    const first = await open('small');
    const second = await open('small');
    expect(second.directory).toBe(first.directory);
    expect(second.baseHash).toBe(first.baseHash);
    expect(first.features).toBeUndefined();
    const values = first.parameterSpecs.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
    expect(values).toBeGreaterThan(1e6);
    expect(first.config.model).toMatchObject({ attentionMode: 'cross_attn', selfAttnEveryNLayers: 2, numVlmLayers: 4 });
  });

  it('has the same weights on every machine', async () => {
    const policy = await open('small');
    expect(policy.baseHash).toMatchInlineSnapshot(`"8a8d4b387377f662f90fc44d3786e235cbac91b34e55c15be19c431307504b67"`);
    expect(hashParameters(await policy.initialParameters())).toMatchInlineSnapshot(`"992845be6e5820d6993fa26b099491d9c4d21e51a3e7b6afa8763c0d6e15cae2"`);
  });
});

describe('checkpoints', () => {
  it('are found by relative paths, which nothing behind this sees, and as local:path', async () => {
    const path = relative(process.cwd(), workspace.checkpoint);
    for (const source of [path, `local:${path}`, `local:${workspace.checkpoint}`]) {
      expect((await open(source)).directory).toBe(workspace.checkpoint);
    }
  });

  it('come back as they were saved, on the same base', async () => {
    const policy = await open(workspace.checkpoint, { features });
    const trained = moved(await policy.initialParameters());
    const directory = join(workspace.root, 'full');
    await policy.saveCheckpoint(directory, trained, { normalizer });
    const again = await open(directory);
    expect(again.baseHash).toBe(policy.baseHash);
    expect(again.features).toEqual(features);
    expect(again.normalizer).toEqual(normalizer);
    expect(hashParameters(await again.initialParameters())).toBe(hashParameters(trained));
  });

  it('saves trained weights alone, tied to their base', async () => {
    const policy = await open(workspace.checkpoint, { features });
    const trained = moved(await policy.initialParameters());
    const directory = join(workspace.root, 'trained');
    await policy.saveCheckpoint(directory, trained, { normalizer, form: 'trained' });
    await expect(open(directory)).rejects.toMatchObject({ code: 'POLICY_WEIGHTS_MISSING', hint: /--base/ });
    await expect(open(directory, { base: 'small' })).rejects.toMatchObject({ code: 'POLICY_TENSORS_MISMATCH' });

    const joined = await open(directory, { base: workspace.checkpoint });
    expect(joined.baseHash).toBe(policy.baseHash);
    expect(joined.features).toEqual(features);
    expect(joined.normalizer).toEqual(normalizer);
    expect(hashParameters(await joined.initialParameters())).toBe(hashParameters(trained));
  });

  it('with NaN in a trained weight are refused, by its name, before anything is trained or evaluated', async () => {
    const policy = await open(workspace.checkpoint, { features });
    const directory = join(workspace.root, 'diverged');
    const parameters = await policy.initialParameters();
    const [name, { data }] = [...parameters].at(-1)!;
    data[3] = NaN;
    await policy.saveCheckpoint(directory, parameters, { normalizer });
    await expect((await open(directory)).initialParameters()).rejects.toThrow(`${directory}: tensor ${name} holds NaN or infinity`);
  });

  it('refuses to join trained weights with another base of the same architecture', async () => {
    const policy = await open(workspace.checkpoint, { features });
    const directory = join(workspace.root, 'trained-elsewhere');
    await policy.saveCheckpoint(directory, await policy.initialParameters(), { normalizer, form: 'trained' });
    const other = join(workspace.root, 'other-base');
    await cp(workspace.checkpoint, other, { recursive: true });
    const handle = await openFile(join(other, 'model.safetensors'), 'r+');
    // A frozen value: `lm_head` and the trained tensors do not enter the base's hash.
    const weights = await openSafetensors(join(other, 'model.safetensors'));
    const { begin } = weights.tensorLocation(weights.specs.find(({ name }) => name.includes('vision_model') && name.endsWith('weight'))!.name);
    await weights.close();
    await handle.write(Uint8Array.of(1, 2, 3, 4), 0, 4, begin);
    await handle.close();
    await expect(open(directory, { base: other })).rejects.toMatchObject({ code: 'POLICY_BASE_MISMATCH' });
  });

  it('turns either form into the other, to the same bytes', async () => {
    const policy = await open('small', { features });
    const [full, trained, again] = ['form-full', 'form-trained', 'form-again'].map((name) => join(workspace.root, name)) as [string, string, string];
    await policy.saveCheckpoint(full, moved(await policy.initialParameters()), { normalizer });
    const options = { cacheDirectory: workspace.root };
    await convertCheckpoint(full, trained, { ...options, form: 'trained', base: 'small' });
    expect((await readdir(trained)).filter((name) => name.startsWith('model') || name === 'vlm')).toEqual([]);
    await convertCheckpoint(trained, again, { ...options, form: 'full' });
    for (const name of (await readdir(full, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())) {
      const path = relative(full, join(name.parentPath, name.name));
      expect((await readFile(join(again, path))).equals(await readFile(join(full, path))), path).toBe(true);
    }
  });

  it('does not name a base that is not the one', async () => {
    const directory = join(workspace.root, 'wrong-base');
    await expect(
      convertCheckpoint(workspace.checkpoint, directory, { form: 'trained', base: 'small', cacheDirectory: workspace.root }),
    ).rejects.toMatchObject({ code: 'POLICY_BASE_MISMATCH' });
  });

  it('keeps what config.json said and adds the features', async () => {
    const policy = await open(workspace.checkpoint, { features });
    const directory = join(workspace.root, 'config');
    await policy.saveCheckpoint(directory, await policy.initialParameters(), { normalizer });
    const json = JSON.parse(await readFile(join(directory, 'config.json'), 'utf8')) as Record<string, unknown>;
    expect(json).toMatchObject({
      type: 'smolvla',
      vlm_model_name: 'vlm',
      load_vlm_weights: false,
      output_features: { action: { type: 'ACTION', shape: [5] } },
    });
    expect(Object.keys(json['input_features'] as object)).toEqual(['observation.state', ...features.cameras]);
  });

  it('cannot be saved without knowing what the robot is', async () => {
    const policy = await open();
    await expect(policy.saveCheckpoint(join(workspace.root, 'x'), new Map(), { normalizer })).rejects.toThrow(/names no state/);
  });
});
