import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDataset } from '@zk0/dataset-so100';
import { makeDemoDataset } from './demo-dataset.ts';
import { demoTasks } from '../tasks/demo-tasks.ts';
import { DemoWorld } from '../world/demo-world.ts';

const SMALL = { task: 'cube-to-bowl', episodes: 2, fps: 5, width: 64, height: 48 };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'zk0-demo-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** Hash of every file by its path. */
async function hashes(dataset: string): Promise<Record<string, string>> {
  const entries = await readdir(dataset, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  const pairs = files.sort().map(async (file) => {
    return [
      path.relative(dataset, file),
      createHash('sha256')
        .update(await readFile(file))
        .digest('hex'),
    ] as const;
  });
  return Object.fromEntries(await Promise.all(pairs));
}

describe('makeDemoDataset', () => {
  it('gives the same bytes for the same seed, and others for another', async () => {
    const [first, again, other] = ['first', 'again', 'other'].map((name) => path.join(folder, name));
    await makeDemoDataset(first!, { ...SMALL, seed: 7 });
    await makeDemoDataset(again!, { ...SMALL, seed: 7 });
    await makeDemoDataset(other!, { ...SMALL, seed: 8 });
    const [a, b, c] = await Promise.all([first!, again!, other!].map(hashes));
    expect(a).toEqual(b);
    expect(Object.keys(c!)).toEqual(Object.keys(a!));
    for (const file of ['data/chunk-000/file-000.parquet', 'videos/observation.images.top/chunk-000/file-000.mp4']) {
      expect(c![file]).not.toBe(a![file]);
    }
  });

  it('makes a dataset like any other, in which things can be seen to move', async () => {
    const target = path.join(folder, 'seen');
    const made = await makeDemoDataset(target, SMALL);
    const dataset = await openDataset(target);
    expect(dataset.warnings).toEqual([]);
    expect(dataset.info).toMatchObject({
      robotType: 'so100_follower',
      frameCount: made.frames,
      tasks: ['Pick up the red cube and put it in the bowl.'],
      stateNames: [
        'shoulder_pan.pos',
        'shoulder_lift.pos',
        'elbow_flex.pos',
        'wrist_flex.pos',
        'wrist_roll.pos',
        'gripper.pos',
      ],
    });
    const keys = dataset.info.cameras.map(({ key }) => key);
    expect(keys).toEqual(['observation.images.top', 'observation.images.wrist']);
    const [before, after] = await Promise.all([0, 20].map((frame) => dataset.images(frame, keys)));
    for (const camera of [0, 1]) {
      const changed = before![camera]!.data.filter(
        (value, i) => Math.abs(value - after![camera]!.data[i]!) > 24,
      ).length;
      expect(changed / before![camera]!.data.length).toBeGreaterThan(0.02);
    }
    // The red cube is in the overview.
    const { data } = before![0]!;
    let red = 0;
    for (let i = 0; i < data.length; i += 3) if (data[i]! > 110 && data[i + 1]! < 70 && data[i + 2]! < 70) red++;
    expect(red).toBeGreaterThan(8);
    await dataset.close();
  });

  it('records actions that do the task again where the thing lies nearly as it did', async () => {
    const target = path.join(folder, 'replayed');
    await makeDemoDataset(target, { ...SMALL, episodes: 1, place: 'middle', seed: 3 });
    const dataset = await openDataset(target);
    const world = await DemoWorld.create({ ...SMALL, place: 'middle' });
    let done = 0;
    for (let trial = 0; trial < 10; trial++) {
      world.reset(`replay ${trial}`);
      for (let frame = 0; frame < dataset.info.frameCount && !world.success(); frame++) world.act(dataset.actionChunk(frame, 1).actions);
      if (world.success()) done++;
    }
    world.close();
    await dataset.close();
    expect(done).toBeGreaterThanOrEqual(7);
  });

  it('stops between frames when it is cancelled, and leaves nothing', async () => {
    const target = path.join(folder, 'cancelled');
    const controller = new AbortController();
    const onProgress = (): void => {
      controller.abort();
    };
    const making = makeDemoDataset(target, { ...SMALL, signal: controller.signal, onProgress });
    await expect(making).rejects.toMatchObject({ code: 'CANCELLED' });
    expect((await readdir(folder)).filter((name) => name.includes('cancelled'))).toEqual([]);
  });

  it('leaves nothing under the final name when the process is killed, and clears up the next time', async () => {
    const parent = await mkdtemp(path.join(folder, 'killed-'));
    const target = path.join(parent, 'set');
    const source = JSON.stringify(path.join(import.meta.dirname, 'demo-dataset.ts'));
    const script = `
      const { makeDemoDataset } = await import(${source});
      const options = { task: 'lift-can', episodes: 1000, width: 32, height: 32 };
      await makeDemoDataset(${JSON.stringify(target)}, { ...options, onProgress: () => process.stdout.write('.') });
    `;
    const child = spawn(process.execPath, ['--conditions=@zk0/source', '--input-type=module', '-e', script]);
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await readdir(parent)).toHaveLength(1);
    expect(await readdir(parent)).not.toContain('set');
    await makeDemoDataset(target, { ...SMALL, episodes: 1 });
    expect(await readdir(parent)).toEqual(['set']);
  });

  it('names the tasks there are when asked for another', async () => {
    const making = makeDemoDataset(path.join(folder, 'x'), { ...SMALL, task: 'cube' });
    await expect(making).rejects.toMatchObject({
      code: 'DEMO_TASK_UNKNOWN',
      hint: expect.stringContaining('cube-to-bowl') as string,
    });
  });

  it.each([{ episodes: 0 }, { episodes: 1.5 }, { fps: 60 }, { width: 33 }])('refuses %j', async (change) => {
    await expect(makeDemoDataset(path.join(folder, 'x'), { ...SMALL, ...change })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });
});

describe('demoTasks', () => {
  it('differ in name, text and surroundings', () => {
    for (const property of ['name', 'text', 'surroundings'] as const) {
      expect(new Set(demoTasks.map((task) => JSON.stringify(task[property]))).size).toBe(demoTasks.length);
    }
    expect(demoTasks.length).toBeGreaterThanOrEqual(6);
  });
});
