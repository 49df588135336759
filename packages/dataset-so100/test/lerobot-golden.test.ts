import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { openDataset, type LeRobotDataset } from '../src/index.ts';
import { hasRealData, realSet } from './real-data.ts';

/** What `golden/make_golden.py` wrote with the real LeRobot. Arrays and images are SHA-256 of their bytes. */
interface Golden {
  readonly chunk: number;
  readonly frames: number;
  readonly samples: readonly {
    readonly index: number;
    readonly episode: number;
    readonly frame: number;
    readonly timestamp: number;
    readonly task: string;
    readonly state: string;
    readonly actions: string;
    readonly isPad: readonly number[];
    readonly imagesByTimestamp: Readonly<Record<string, string>>;
    readonly imagesByPosition: Readonly<Record<string, string>>;
  }[];
}

const SETS = ['so101_bimanual_cloth', 'cr5_banana_plate', 'so101_no_camera'] as const;

function readGolden(name: string): Golden {
  return JSON.parse(readFileSync(path.join(import.meta.dirname, 'golden', `${name}.json`), 'utf8')) as Golden;
}

function digest(bytes: Uint8Array | Float32Array): string {
  return createHash('sha256').update(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)).digest('hex');
}

async function imageDigests(dataset: LeRobotDataset, frame: number): Promise<Record<string, string>> {
  const keys = dataset.info.cameras.map((camera) => camera.key);
  const images = await dataset.images(frame, keys);
  return Object.fromEntries(keys.map((key, i) => [key, digest(images[i]!.data)]));
}

describe.skipIf(!hasRealData)('against LeRobot with PyAV (skipped without ../shared/data or ZK0_TEST_DATA)', () => {
  it.each(SETS)('%s: the same rows, chunks, masks and tasks', async (name) => {
    const golden = readGolden(name);
    const dataset = await openDataset(realSet(name));
    expect(dataset.info.frameCount).toBe(golden.frames);
    for (const sample of golden.samples) {
      const { episode, position } = dataset.locate(sample.index);
      const { actions, isPad } = dataset.actionChunk(sample.index, golden.chunk);
      expect({
        episode: dataset.info.episodes[episode]!.episodeIndex,
        frame: position,
        timestamp: Math.fround(dataset.timestamp(sample.index)),
        task: dataset.task(sample.index),
        state: digest(dataset.state(sample.index)),
        actions: digest(actions),
        isPad: Array.from(isPad),
      }).toEqual({
        episode: sample.episode,
        frame: sample.frame,
        timestamp: sample.timestamp,
        task: sample.task,
        state: sample.state,
        actions: sample.actions,
        isPad: sample.isPad,
      });
    }
    await dataset.close();
  });

  it.each(SETS.slice(0, 2))('%s: the frame at each position, byte for byte', async (name) => {
    const dataset = await openDataset(realSet(name));
    for (const sample of readGolden(name).samples) {
      expect(await imageDigests(dataset, sample.index)).toEqual(sample.imagesByPosition);
    }
    await dataset.close();
  });

  it.each(SETS.slice(0, 2))('%s: the frame that LeRobot finds by timestamp, byte for byte', async (name) => {
    const dataset = await openDataset(realSet(name), { lookup: 'timestamp', tolerance: 1e3 });
    for (const sample of readGolden(name).samples) {
      expect(await imageDigests(dataset, sample.index)).toEqual(sample.imagesByTimestamp);
    }
    await dataset.close();
  });
});
