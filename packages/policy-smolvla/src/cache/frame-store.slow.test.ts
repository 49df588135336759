import { open, readdir, readFile, rm, writeFile, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { hashParameters, type FitInstructions, type Parameters, type RobotDataset, type StepProgress } from '@zk0/core';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { normalizerOf, syntheticDataset } from '../../test/synthetic-dataset.ts';
import { tinyWorkspace } from '../../test/tiny-policy.ts';
import { openPolicy } from '../open-policy.ts';
import type { CacheMode, SmolVlaPolicy } from '../policy.ts';

const features = { stateSize: 6, actionSize: 6, cameras: ['observation.images.top', 'observation.images.wrist'] };
const instructions: FitInstructions = { round: 1, seed: 's', localSteps: 6, batchSize: 4, learningRate: 1e-3, proximalMu: 0 };

let workspace: Awaited<ReturnType<typeof tinyWorkspace>>;
let policy: SmolVlaPolicy;
let initial: Parameters;
let frames: string;

beforeAll(async () => {
  workspace = await tinyWorkspace();
  policy = await openPolicy(workspace.checkpoint, { device: 'cpu', threads: 1, features, cacheDirectory: workspace.root });
  initial = await policy.initialParameters();
  frames = join(workspace.root, 'frames');
});
afterEach(async () => {
  await rm(frames, { recursive: true, force: true });
});
afterAll(async () => {
  await policy.close();
  await workspace.remove();
});

/** Two datasets in one index, the first of them twice. */
function joined(first: ReturnType<typeof syntheticDataset>, second: ReturnType<typeof syntheticDataset>): RobotDataset {
  const size = first.info.frameCount;
  const parts = [first, first, second];
  const at = <T>(frame: number, read: (dataset: RobotDataset, own: number) => T): T => read(parts[Math.floor(frame / size)]!, frame % size);
  return {
    info: {
      ...first.info,
      contentHash: 'cd'.repeat(32),
      frameCount: parts.length * size,
      origins: parts.map(({ info: { contentHash, frameCount } }, i) => ({ from: i * size, contentHash, frameCount })),
      episodes: parts.map((_, i) => ({ episodeIndex: i, from: i * size, to: (i + 1) * size })),
    },
    state: (frame) => at(frame, (dataset, own) => dataset.state(own)),
    actionChunk: (frame, length) => at(frame, (dataset, own) => dataset.actionChunk(own, length)),
    task: (frame) => at(frame, (dataset, own) => dataset.task(own)),
    images: (frame, keys) => at(frame, (dataset, own) => dataset.images(own, keys)),
    close: () => Promise.resolve(),
  };
}

/** One fit with a fresh dataset: its outcome, how many frames were decoded, and what was reported. */
async function fit(cache: CacheMode, more: { seed?: number; cacheBudgetBytes?: number; signal?: AbortSignal } = {}): Promise<{
  readonly loss: number;
  readonly hash: string;
  readonly decoded: number;
  readonly phases: readonly string[];
}> {
  const { seed = 1, cacheBudgetBytes = 1e9, signal } = more;
  const dataset = syntheticDataset({ seed });
  const learner = policy.learner(dataset, { normalizer: normalizerOf(dataset), cache, cacheBudgetBytes });
  const reports: StepProgress[] = [];
  const hooks = { onProgress: (progress: StepProgress) => reports.push(progress), ...(signal === undefined ? {} : { signal }) };
  try {
    const { parameters, metrics } = await learner.fit(initial, instructions, hooks);
    const phases = [...new Set(reports.map(({ phase }) => phase))];
    return { loss: metrics['loss']!, hash: hashParameters(parameters), decoded: dataset.decoded, phases };
  } finally {
    await learner.close();
  }
}

describe.each<CacheMode>(['vision', 'prefix'])('the %s cache', (cache) => {
  it('trains as without a cache, to the precision stored, and decodes each frame once', async () => {
    const uncached = await fit('off');
    const first = await fit(cache);
    const second = await fit(cache);
    expect(uncached.phases).toEqual(['training']);
    expect(first.phases).toEqual(['caching', 'training']);
    expect(second.phases).toEqual(['training']);
    expect(first.decoded).toBe(24);
    expect(second.decoded).toBe(0);
    expect(second.hash).toBe(first.hash);
    expect(Math.abs(first.loss - uncached.loss) / uncached.loss).toBeLessThan(2e-3);
  });

  it('belongs to one dataset', async () => {
    await fit(cache);
    const other = await fit(cache, { seed: 2 });
    expect(other.decoded).toBe(24);
    expect(await readdir(frames)).toHaveLength(2);
  });

  it('is shared by a dataset of several and each of them alone, and holds what is repeated once', async () => {
    const [first, second] = [syntheticDataset({ seed: 1, framesPerEpisode: 6 }), syntheticDataset({ seed: 2, framesPerEpisode: 6 })];
    const everyFrame = { ...instructions, localSteps: 18 };
    const train = async (dataset: RobotDataset): Promise<string> => {
      const learner = policy.learner(dataset, { normalizer: normalizerOf(first), cache });
      const { parameters } = await learner.fit(initial, everyFrame);
      await learner.close();
      return hashParameters(parameters);
    };
    await train(first);
    expect([first.decoded, second.decoded]).toEqual([24, 0]);
    const shared = await train(joined(first, second));
    expect([first.decoded, second.decoded]).toEqual([24, 24]);
    await train(second);
    expect(second.decoded).toBe(24);
    expect(await readdir(frames)).toHaveLength(2);
    await rm(frames, { recursive: true });
    expect(await train(joined(first, second))).toBe(shared);
    expect([first.decoded, second.decoded]).toEqual([48, 48]);
  });

  it('belongs to one precision: no run reads what was computed with fewer bits', async () => {
    const dataset = syntheticDataset({ seed: 1 });
    const half = await openPolicy(workspace.checkpoint, { device: 'cpu', threads: 1, precision: 'float16', training: 'stepwise', features, cacheDirectory: workspace.root });
    const learner = half.learner(dataset, { normalizer: normalizerOf(dataset), cache });
    await learner.fit(initial, { ...instructions, localSteps: 1 });
    await learner.close();
    await half.close();
    const [name] = await readdir(frames);
    expect(await readFile(join(frames, name!), 'latin1')).toMatch(/"precision": "float16",\s+"device": "cpu"/);
    expect((await fit(cache)).decoded).toBe(24);
    expect(await readdir(frames)).toHaveLength(2);
  });

  it('is made again where it was damaged', async () => {
    const good = await fit(cache);
    const [name] = await readdir(frames);
    const path = join(frames, name!);
    await writeFile(path, new Uint8Array(4000).fill(1), { flag: 'r+' });
    expect(await fit(cache)).toMatchObject({ hash: good.hash, decoded: 24 });
  });

  it('resumes what was interrupted', async () => {
    const controller = new AbortController();
    const dataset = syntheticDataset({ seed: 1 });
    const learner = policy.learner(dataset, { normalizer: normalizerOf(dataset), cache });
    const onProgress = ({ step }: StepProgress): void => {
      if (step >= 8) controller.abort();
    };
    await expect(learner.fit(initial, instructions, { onProgress, signal: controller.signal })).rejects.toMatchObject({ code: 'CANCELLED' });
    await learner.close();
    expect((await fit(cache)).decoded).toBe(16);
  });

  it('stops when the disk is full, and goes on from what was written', async () => {
    const handle = await open(workspace.checkpoint + '/config.json');
    const prototype = Object.getPrototypeOf(handle) as FileHandle;
    await handle.close();
    // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its handle below
    const original = prototype.write;
    const write = vi.spyOn(prototype, 'write');
    let records = 0;
    write.mockImplementation(function (this: FileHandle, ...args: unknown[]) {
      // The header comes first; the disk is full at the sixth record.
      if (records++ === 6) return Promise.reject(Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' }));
      return Reflect.apply(original, this, args) as ReturnType<FileHandle['write']>;
    });
    await expect(fit(cache)).rejects.toMatchObject({ code: 'CACHE_FULL', hint: expect.stringContaining('--cache') as string });
    write.mockRestore();
    // A run of four frames is decoded before any of them is written.
    expect((await fit(cache)).decoded).toBe(24 - 5);
    expect(await readdir(frames)).toHaveLength(1);
  });

  it('is refused by name when it does not fit the budget', async () => {
    await expect(fit(cache, { cacheBudgetBytes: 1000 })).rejects.toMatchObject({ code: 'CACHE_FULL' });
  });
});

describe('the automatic cache', () => {
  it('keeps as much as fits the budget', async () => {
    const kinds = async (): Promise<string[]> => (await readdir(frames).catch(() => [])).map((name) => name.split('-')[0]!);
    await fit('auto');
    expect(await kinds()).toEqual(['prefix']);
    await rm(frames, { recursive: true });
    await fit('auto', { cacheBudgetBytes: 100_000 });
    expect(await kinds()).toEqual(['vision']);
    await rm(frames, { recursive: true });
    await fit('auto', { cacheBudgetBytes: 1000 });
    expect(await kinds()).toEqual([]);
  });
});
