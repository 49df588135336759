import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDataset } from '../src/index.ts';
import { stateAt, writeFixture } from './fixtures.ts';

let folder: string;
let sets = 0;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'zk0-layouts-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const recordings = fc.record({
  version: fc.constantFrom('v2.0' as const, 'v2.1' as const, 'v3.0' as const),
  lengths: fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 7 }),
  fps: fc.constantFrom(10, 15, 29.97, 30, 50),
  chunksSize: fc.integer({ min: 1, max: 4 }),
  episodesPerFile: fc.integer({ min: 1, max: 4 }),
  cameras: fc.constantFrom(['observation.images.top'], ['observation.images.a', 'observation.images.b']),
  first: fc.nat(3),
  stride: fc.integer({ min: 1, max: 3 }),
  chunk: fc.integer({ min: 1, max: 20 }),
  chosen: fc.uniqueArray(fc.nat(6), { minLength: 1, maxLength: 7 }),
});

describe('index ↔ (episode, position, time in the video)', () => {
  it('is right both ways for every layout and subset of episodes (lerobot #816, #959, #1783)', async () => {
    await fc.assert(
      fc.asyncProperty(recordings, async ({ first, stride, chunk, chosen, ...options }) => {
        const root = path.join(folder, `set-${sets++}`);
        const numbers = options.lengths.map((_, i) => first + i * stride);
        await writeFixture(root, { ...options, numbers });
        const picked = chosen.filter((i) => i < numbers.length).sort((a, b) => a - b);
        const subset = picked.length === 0 ? numbers.map((_, i) => i) : picked;
        const dataset = await openDataset(root, { episodes: subset.map((i) => numbers[i]!) });
        const { version, lengths, fps, episodesPerFile, cameras } = options;
        let frame = 0;
        for (const [episode, i] of subset.entries()) {
          const length = lengths[i]!;
          expect(dataset.info.episodes[episode]).toEqual({ episodeIndex: numbers[i], from: frame, to: frame + length });
          const before = version === 'v3.0' ? lengths.slice(Math.floor(i / episodesPerFile) * episodesPerFile, i) : [];
          const start = before.reduce((sum, n) => sum + n, 0) / fps;
          for (let position = 0; position < length; position++, frame++) {
            expect(dataset.locate(frame)).toEqual({ episode, position });
            expect(Array.from(dataset.state(frame))).toEqual(stateAt(numbers[i]!, position));
            expect(dataset.task(frame)).toBe(numbers[i]! % 2 === 0 ? 'push' : 'pull');
            expect(dataset.timestamp(frame)).toBe(Math.fround(position / fps));
            const { actions, isPad } = dataset.actionChunk(frame, chunk);
            const steps = Array.from({ length: chunk }, (_, step) => Math.min(position + step, length - 1));
            expect(Array.from(actions)).toEqual(steps.flatMap((step) => stateAt(numbers[i]!, step)));
            expect(Array.from(isPad)).toEqual(steps.map((_, step) => (position + step >= length ? 1 : 0)));
            for (const camera of cameras) {
              const video = dataset.videoPosition(frame, camera);
              const group = version === 'v3.0' ? Math.floor(i / episodesPerFile) : numbers[i]!;
              expect(video.file).toMatch(new RegExp(`0*${group}\\.mp4$`));
              expect(video.file).toContain(camera);
              expect(video.timestamp * fps).toBeCloseTo(start * fps + position, 6);
            }
          }
        }
        expect(dataset.info.frameCount).toBe(frame);
        expect(() => dataset.state(frame)).toThrow(RangeError);
        await dataset.close();
        await rm(root, { recursive: true });
      }),
      { numRuns: 60 },
    );
  });

  it('does not depend on where the dataset is, and does on what is chosen', async () => {
    const [a, b] = [path.join(folder, 'a'), path.join(folder, 'b')];
    for (const root of [a, b]) await writeFixture(root, { version: 'v3.0', lengths: [3, 4, 5] });
    const hash = async (root: string, episodes: readonly number[]): Promise<string> => {
      const dataset = await openDataset(root, { episodes });
      await dataset.close();
      return dataset.info.contentHash;
    };
    expect(await hash(a, [0, 1])).toBe(await hash(b, [1, 0, 1]));
    expect(await hash(a, [0, 1])).not.toBe(await hash(a, [0, 2]));
  });
});
