import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { augmentSchema, datasetProfile, hashParameters, Random, runContextSchema, type FitResult, type JsonObject, type Parameters, type RgbImage, type RobotDataset, type RunContext } from '@zk0/core';
import { momentsOf, normalizerFrom } from '@zk0/dataset-so100';
import { openPolicy } from '@zk0/policy-smolvla';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SmolVlaClient, type SmolVlaClientOptions } from './smolvla-client.ts';

const FRAMES = 6;
const CAMERA = 'observation.images.top';
const NAMES = ['a', 'b'];

/** A few frames of a made-up arm; counts the images that are asked for. */
function recorded(): RobotDataset & { decoded: number } {
  const random = new Random('images');
  const images = Array.from({ length: FRAMES }, (): RgbImage => ({ width: 24, height: 24, data: Uint8Array.from({ length: 24 * 24 * 3 }, () => random.below(256)) }));
  const values = Float32Array.from({ length: FRAMES * 2 }, (_, i) => Math.sin(i));
  const moments = momentsOf(values, 2);
  const dataset = {
    decoded: 0,
    info: {
      name: 'made-up',
      uri: 'memory:made-up',
      contentHash: 'ab'.repeat(32),
      robotType: 'so101_follower',
      fps: 10,
      frameCount: FRAMES,
      stateNames: NAMES,
      actionNames: NAMES,
      cameras: [{ key: CAMERA, width: 24, height: 24 }],
      episodes: [{ episodeIndex: 0, from: 0, to: FRAMES }],
      tasks: ['reach'],
      moments: { state: moments, action: moments },
    },
    state: (frame: number) => values.slice(frame * 2, frame * 2 + 2),
    actionChunk: (frame: number, length: number) => ({ actions: Float32Array.from({ length: length * 2 }, (_, i) => values[(frame * 2 + i) % values.length]!), isPad: new Uint8Array(length) }),
    task: () => 'reach',
    images: (frame: number) => {
      dataset.decoded++;
      return Promise.resolve([images[frame]!]);
    },
    close: () => Promise.resolve(),
  };
  return dataset;
}

let folder: string;
let context: RunContext;
let initial: Parameters;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'zk0-augmented-'));
  const features = { stateSize: 2, actionSize: 2, cameras: [CAMERA] };
  const policy = await openPolicy('tiny', { device: 'cpu', threads: 1, cacheDirectory: join(folder, 'home'), features });
  initial = await policy.initialParameters();
  context = { policy: { source: 'tiny', baseHash: policy.baseHash }, features, normalizer: runContextSchema.shape.normalizer.parse(normalizerFrom(recorded().info.moments)) };
  await policy.close();
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** One round of a client of its own. */
async function round(home: string, variants: number, seed = 'run', more: Partial<SmolVlaClientOptions> = {}): Promise<FitResult & { readonly decoded: number }> {
  const dataset = recorded();
  const client = new SmolVlaClient({ dataset, device: 'cpu', precision: 'float32', threads: 1, cache: 'prefix', cacheBudgetBytes: 1e9, cacheDirectory: join(folder, home), ...more });
  expect(client.profile()).toEqual({ device: 'cpu', dataset: JSON.parse(JSON.stringify(datasetProfile(dataset.info))) as unknown });
  const varied = variants === 0 ? context : { ...context, augment: { config: augmentSchema.parse({ variants }), seed } };
  const fit = { round: 1, seed: 'fit', localSteps: 12, batchSize: 4, learningRate: 1e-3, proximalMu: 0 };
  const result = await client.fit({ runId: 'run', context: JSON.parse(JSON.stringify(varied)) as JsonObject, fit }, initial, {});
  await client.close();
  return { ...result, decoded: dataset.decoded };
}

describe('training on variants of the images', { timeout: 60_000 }, () => {
  it('gives the same bytes each time, takes what is cached, and other bytes for another seed, number or none', async () => {
    const kept: { frames: number; bytes: number; tier: string }[] = [];
    const first = await round('a', 2, 'run', { onCache: (cache) => kept.push(cache) });
    expect(kept).toEqual([{ tier: 'prefix', frames: 3 * FRAMES, bytes: expect.any(Number) as number }]);
    // 48 samples are more than all 18 images: each was decoded once for its variants.
    expect(first.decoded).toBe(FRAMES);
    const again = await round('a', 2);
    expect(again.decoded).toBe(0);
    const elsewhere = await round('b', 2);
    expect(elsewhere.decoded).toBe(FRAMES);
    const others = [await round('a', 2, 'other'), await round('a', 3), await round('a', 0)];
    const hashes = [first, again, elsewhere, ...others].map(({ parameters }) => hashParameters(parameters));
    expect(hashes.slice(1, 3)).toEqual([hashes[0], hashes[0]]);
    expect(new Set(hashes).size).toBe(4);
  });

  it('counts the recordings, not their variants', async () => {
    const { numExamples, metrics } = await round('a', 2);
    expect([numExamples, metrics['num_examples']]).toEqual([FRAMES, FRAMES]);
  });
});
