/**
 * `npx nx bench dataset-so100 [-- --long]`: samples per second at random access over two 640×480 cameras, time to the
 * first sample, memory, statistics. `measure_lerobot.py` measures LeRobot on the same files.
 */
import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { Random } from '@zk0/core';
import { FrameOrder, loadSamples, momentsOf, openDataset, type VideoCodec } from '@zk0/dataset-so100';
import { benchSet, EPISODES } from './make-set.ts';

const CHUNK = 50;
const samples = process.argv.includes('--long') ? 10_000 : 1000;
const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MB`;

function* steps(order: FrameOrder, count: number): Generator<number> {
  for (let step = 0; step < count; step++) yield order.frameAt(step);
}

async function measureLoading(codec: VideoCodec): Promise<void> {
  const dataset = await openDataset(await benchSet(codec));
  const cameraKeys = dataset.info.cameras.map((camera) => camera.key);
  const order = new FrameOrder(dataset.info.frameCount, 'bench');
  const load = (count: number): ReturnType<typeof loadSamples> =>
    loadSamples(dataset, steps(order, count), { cameraKeys, chunkLength: CHUNK, prefetch: 16 });
  for await (const sample of load(50)) if (sample.images.length !== cameraKeys.length) throw new Error('a camera is missing');
  const memoryBefore = process.memoryUsage().rss;
  const start = performance.now();
  let count = 0;
  for await (const sample of load(samples)) if (sample.images.length > 0) count++;
  const seconds = (performance.now() - start) / 1000;
  const { rss } = process.memoryUsage();
  console.log(
    `${codec}: ${(count / seconds).toFixed(1)} samples/s (${count} samples of ${cameraKeys.length} images at random); ` +
      `RSS ${megabytes(memoryBefore)} → ${megabytes(rss)}, peak ${megabytes(process.resourceUsage().maxRSS * 1024)}`,
  );
  await dataset.close();
}

async function firstSample(root: string): Promise<void> {
  const start = performance.now();
  const dataset = await openDataset(root);
  const opened = performance.now();
  await dataset.images(Math.floor(dataset.info.frameCount / 2), dataset.info.cameras.map((camera) => camera.key));
  console.log(`opened in ${(opened - start).toFixed(0)} ms, first sample after ${(performance.now() - start).toFixed(0)} ms`);
  await dataset.close();
}

function measureStatistics(): void {
  const random = new Random('statistics');
  const rows = new Float32Array(20_000 * 12);
  random.fillNormal(rows);
  const start = performance.now();
  const { count } = momentsOf(rows, 12);
  console.log(`statistics of ${count} rows of 12 values: ${(performance.now() - start).toFixed(1)} ms`);
}

const only = process.argv.indexOf('--first-sample');
if (only !== -1) await firstSample(process.argv[only + 1]!);
else {
  console.log(`Node ${process.version}, ${availableParallelism()} cores`);
  measureStatistics();
  for (const codec of ['h264', 'av1'] as const) {
    const root = await benchSet(codec);
    const output = execFileSync(process.execPath, [...process.execArgv, import.meta.filename, '--first-sample', root]);
    process.stdout.write(`${codec}, ${EPISODES} episodes: ${output.toString()}`);
    await measureLoading(codec);
  }
}
