import { join } from 'node:path';
import { Random, type RgbImage } from '@zk0/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { normalizerOf, syntheticDataset } from '../../test/synthetic-dataset.ts';
import { tinyWorkspace } from '../../test/tiny-policy.ts';
import { openPolicy } from '../open-policy.ts';
import type { Observation, SmolVlaPolicy } from '../policy.ts';

const dataset = syntheticDataset();
const normalizer = normalizerOf(dataset);
const cameras = dataset.info.cameras.map(({ key }) => key);
const seed = { seed: 'act' };

let workspace: Awaited<ReturnType<typeof tinyWorkspace>>;
let policy: SmolVlaPolicy;
let observation: Observation;

beforeAll(async () => {
  workspace = await tinyWorkspace();
  const features = { stateSize: 6, actionSize: 6, cameras };
  const base = await openPolicy(workspace.checkpoint, { device: 'cpu', threads: 1, features });
  const directory = join(workspace.root, 'with-statistics');
  await base.saveCheckpoint(directory, await base.initialParameters(), { normalizer });
  await base.close();
  policy = await openPolicy(directory, { device: 'cpu', threads: 1 });
  const images = await dataset.images(3, cameras);
  observation = {
    state: dataset.state(3),
    images: Object.fromEntries(cameras.map((key, index): [string, RgbImage] => [key, images[index]!])),
    task: dataset.task(3),
  };
});

afterAll(async () => {
  await policy.close();
  await workspace.remove();
});

describe('acting', () => {
  it('predicts a chunk in the recordings\' units, the same for the same noise', async () => {
    const noise = new Random(1).fillNormal(new Float32Array(6 * 8));
    const first = await policy.act(observation, { noise });
    expect(first).toMatchObject({ chunkSize: 6, actionSize: 6 });
    expect(first.actions).toHaveLength(36);
    expect((await policy.act(observation, { noise })).actions).toEqual(first.actions);
    expect((await policy.act(observation, seed)).actions).not.toEqual(first.actions);
    expect((await policy.act(observation, seed)).actions).toEqual((await policy.act(observation, seed)).actions);
  });

  it('predicts several chunks together: each the same whatever else is predicted with it, and that of act but for rounding', async () => {
    const actor = await policy.actor();
    const requests = Array.from({ length: 11 }, (_, index) => ({
      observation: { ...observation, state: Array.from(observation.state, (value) => value + index) },
      options: { seed: `act ${index}` },
    }));
    const together = await actor.actTogether(requests);
    expect(together).toHaveLength(11);
    const some = await actor.actTogether(requests.slice(7, 9));
    expect(some.map(({ actions }) => actions)).toEqual(together.slice(7, 9).map(({ actions }) => actions));
    const alone = await actor.act(requests[8]!.observation, requests[8]!.options);
    alone.actions.forEach((value, index) => { expect(together[8]!.actions[index]).toBeCloseTo(value, 3); });
    expect(together[7]!.actions).not.toEqual(together[8]!.actions);
    expect(await actor.actTogether([])).toEqual([]);
    await actor.close();
  });

  it('depends on what it sees, feels and is told', async () => {
    const { actions } = await policy.act(observation, seed);
    const dark = { width: 4, height: 4, data: new Uint8Array(48) };
    const others: Observation[] = [
      { ...observation, images: { ...observation.images, [cameras[1]!]: dark } },
      { ...observation, state: [1, 2, 3, 4, 5, 6] },
      { ...observation, task: 'something else' },
    ];
    for (const other of others) expect((await policy.act(other, seed)).actions).not.toEqual(actions);
  });

  it('hands out the first actions of a chunk one by one, then predicts again; a reset forgets them', async () => {
    const { actions } = await policy.act(observation, seed);
    const step = (index: number): Float32Array => actions.slice(index * 6, (index + 1) * 6);
    for (let index = 0; index < 4; index++) expect(await policy.selectAction(observation, { seed: index === 0 ? 'act' : 'unused' })).toEqual(step(index));
    expect(await policy.selectAction(observation, seed)).toEqual(step(0));
    await policy.reset();
    expect(await policy.selectAction(observation, seed)).toEqual(step(0));
  });

  it('acts with the weights it is given', async () => {
    const doubled = new Map([...(await policy.initialParameters())].map(([name, { shape, data }]) => [name, { shape, data: data.map((value) => 2 * value) }]));
    const actor = await policy.actor({ parameters: doubled, normalizer });
    expect((await actor.act(observation, seed)).actions).not.toEqual((await policy.act(observation, seed)).actions);
    await actor.close();
  });

  it.each<[string, (good: Observation) => Observation, string]>([
    ['a missing camera', (good) => ({ ...good, images: { [cameras[0]!]: good.images[cameras[0]!]! } }), 'CAMERAS_MISMATCH'],
    ['a strange camera', (good) => ({ ...good, images: { ...good.images, back: good.images[cameras[0]!]! } }), 'CAMERAS_MISMATCH'],
    ['too few joints', (good) => ({ ...good, state: [1, 2] }), 'FEATURES_MISMATCH'],
    ['a joint that is not a number', (good) => ({ ...good, state: [1, 2, 3, 4, 5, NaN] }), 'NOT_FINITE'],
    ['an image of the wrong size', (good) => ({ ...good, images: { ...good.images, [cameras[0]!]: { width: 9, height: 9, data: new Uint8Array(3) } } }), 'INVALID_ARGUMENT'],
  ])('refuses %s', async (_what, spoil, code) => {
    await expect(policy.act(spoil(observation), seed)).rejects.toMatchObject({ code });
  });

  it('refuses noise of the wrong length', async () => {
    await expect(policy.act(observation, { noise: new Float32Array(3) })).rejects.toThrow(/noise has 3 values, a chunk needs 48/);
  });
});
