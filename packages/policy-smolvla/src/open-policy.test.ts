import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashParameters, type Parameters } from '@zk0/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tinyWorkspace } from '../test/tiny-policy.ts';
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
    expect(policy.baseHash).toMatchInlineSnapshot(`"eaa0f9198453db0377370993986df111801918b1af8753160ee42ea8d71267fd"`);
    expect(hashParameters(await policy.initialParameters())).toMatchInlineSnapshot(`"3fdbb532625f8a3f896be8ccb5a0b5cac8806af65e82d974c19fde4fe1443ee3"`);
  });
});

describe('checkpoints', () => {
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
    expect(hashParameters(await policy.loadTrained(directory))).toBe(hashParameters(trained));
    await expect(open(directory)).rejects.toMatchObject({ code: 'POLICY_WEIGHTS_MISSING', hint: /trained weights only/ });
    await expect((await open('small')).loadTrained(directory)).rejects.toMatchObject({ code: 'POLICY_BASE_MISMATCH' });
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
