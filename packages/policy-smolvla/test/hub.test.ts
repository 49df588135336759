import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { byteLength } from '@zk0/core';
import { readTree, startTestHub, type TestHub } from '@zk0/hub/testing';
import { createSafetensors, openSafetensors } from '@zk0/storage';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openPolicy, type OpenPolicyOptions } from '../src/index.ts';
import { tinyWorkspace } from './tiny-policy.ts';

const features = { stateSize: 6, actionSize: 6, cameras: ['observation.images.top'] };
const observation = {
  state: new Float32Array(6),
  images: { 'observation.images.top': { height: 16, width: 16, data: new Uint8Array(16 * 16 * 3).fill(99) } },
  task: 'push',
};
const normalizer = { state: { mean: Array<number>(6).fill(0), std: Array<number>(6).fill(1) }, action: { mean: Array<number>(6).fill(0), std: Array<number>(6).fill(1) } };

let server: TestHub;
let workspace: Awaited<ReturnType<typeof tinyWorkspace>>;
let cache: string;
let options: OpenPolicyOptions;

beforeEach(async () => {
  [server, workspace, cache] = [await startTestHub(), await tinyWorkspace(), await mkdtemp(join(tmpdir(), 'zk0-policy-hub-'))];
  options = { device: 'cpu', features, hub: { endpoint: server.endpoint, cacheDirectory: cache, retryInitialMs: 1, environment: {} } };
});
afterEach(async () => {
  await server.close();
  await workspace.remove();
  await rm(cache, { recursive: true, force: true });
});

/** The first action of a policy. */
async function act(source: string, over: OpenPolicyOptions = {}): Promise<{ readonly source: string; readonly baseHash: string; readonly actions: Float32Array }> {
  const policy = await openPolicy(source, { ...options, ...over });
  try {
    const actor = await policy.actor({ normalizer });
    const { actions } = await actor.act(observation, { seed: '1' });
    await actor.close();
    return { source: policy.source, baseHash: policy.baseHash, actions };
  } finally {
    await policy.close();
  }
}

/** The tiny policy's weights under other names; those without one left out. */
async function rewritten({ checkpoint, root }: typeof workspace, label: string, rename: (name: string) => string | undefined): Promise<Buffer> {
  const source = await openSafetensors(join(checkpoint, 'model.safetensors'));
  const kept = source.specs.flatMap((spec) => {
    const name = rename(spec.name);
    return name === undefined ? [] : [{ from: spec.name, to: { ...spec, name } }];
  });
  const path = join(root, `${label}.safetensors`);
  const writer = await createSafetensors(path, kept.map(({ to }) => to));
  for (const { from, to } of kept) {
    const data = new Uint8Array(byteLength(to));
    await source.readBytes(from, 0, data);
    await writer.writeBytes(to.name, 0, data);
  }
  await writer.commit();
  await source.close();
  return readFile(path);
}

describe('a policy on the hub', () => {
  it('is the one that was uploaded, at a commit', async () => {
    const commit = server.serve({ type: 'model', name: 'owner/tiny', files: { ...readTree(workspace.checkpoint), 'training_state/optimizer.safetensors': new Uint8Array(10) } });
    const seen: number[] = [];
    const local = await act(workspace.checkpoint);
    const hub = await act('hf:owner/tiny', { onProgress: ({ phase, step, totalSteps }) => phase === 'downloading' && seen.push(step / totalSteps) });
    expect(hub).toEqual({ ...local, source: `hf:owner/tiny@${commit}` });
    expect(seen.at(-1)).toBe(1);
    expect(server.requests.map(({ url }) => url).join()).not.toContain('optimizer');
    server.requests.length = 0;
    expect(await act(`hf:owner/tiny@${commit}`, { hub: { ...options.hub, offline: true } })).toEqual(hub);
    expect(server.requests).toEqual([]);
  });

  it('takes its tokenizer from the vision-language model that it names', async () => {
    const files = readTree(workspace.checkpoint);
    const vlm = Object.fromEntries(Object.entries(files).filter(([path]) => path.startsWith('vlm/')).map(([path, bytes]) => [path.slice(4), bytes]));
    const config = { ...(JSON.parse(Buffer.from(files['config.json']!).toString()) as object), vlm_model_name: 'other/vlm' };
    const own = Object.fromEntries(Object.entries(files).filter(([path]) => !path.startsWith('vlm/')));
    server.serve({ type: 'model', name: 'owner/tiny', files: { ...own, 'config.json': Buffer.from(JSON.stringify(config)) } });
    await expect(act('hf:owner/tiny')).rejects.toMatchObject({ code: 'HUB_UNAUTHORIZED' });
    server.serve({ type: 'model', name: 'other/vlm', files: { ...vlm, 'model.safetensors': new Uint8Array(10) } });
    server.requests.length = 0;
    const { baseHash, actions } = await act('hf:owner/tiny');
    expect({ baseHash, actions }).toEqual(await act(workspace.checkpoint).then((local) => ({ baseHash: local.baseHash, actions: local.actions })));
    expect(server.requests.map(({ url }) => url).filter((url) => url.includes('other/vlm') && url.includes('safetensors'))).toEqual([]);
  });

  it('takes weights that it lacks from there too, with load_vlm_weights', async () => {
    const prefix = 'model.vlm_with_expert.vlm.';
    const files = readTree(workspace.checkpoint);
    const vlm = Object.fromEntries(Object.entries(files).filter(([path]) => path.startsWith('vlm/')).map(([path, bytes]) => [path.slice(4), bytes]));
    const [own, ofVlm] = await Promise.all([
      rewritten(workspace, 'own', (name) => (name.startsWith(prefix) ? undefined : name)),
      rewritten(workspace, 'vlm', (name) => (name.startsWith(prefix) ? name.slice(prefix.length) : undefined)),
    ]);
    const config = { ...(JSON.parse(Buffer.from(files['config.json']!).toString()) as object), vlm_model_name: 'other/vlm', load_vlm_weights: true };
    server.serve({ type: 'model', name: 'owner/tiny', files: { 'config.json': Buffer.from(JSON.stringify(config)), 'model.safetensors': own } });
    server.serve({ type: 'model', name: 'other/vlm', files: { ...vlm, 'model.safetensors': ofVlm } });
    const local = await act(workspace.checkpoint);
    expect(await act('hf:owner/tiny')).toMatchObject({ baseHash: local.baseHash, actions: local.actions });
  });

  it('that is none says what is missing', async () => {
    server.serve({ type: 'model', name: 'owner/empty', files: { 'README.md': new Uint8Array(1) } });
    await expect(act('hf:owner/empty')).rejects.toMatchObject({ code: 'POLICY_NOT_FOUND', message: expect.stringContaining('owner/empty') as string });
  });
});
