/** One measurement of `dataset.bench.ts`, in a process of its own: `measure-loading.ts <folder> <back end> <samples>`. */
import { FrameOrder, loadSamples, openDataset, type VideoBackend } from '@zk0/dataset-so100';

export interface Measurement {
  readonly samplesPerSecond: number;
  readonly firstSampleSeconds: number | null;
  /** Resident memory after warming up, halfway and at the end; only of this package. */
  readonly megabytes?: readonly number[];
  readonly peakMegabytes: number;
  readonly versions?: Readonly<Record<string, string | null>>;
}

const CHUNK = 50;
const WARM_UP = 64;

async function measure(root: string, backend: VideoBackend, samples: number): Promise<Measurement> {
  const began = performance.now();
  const dataset = await openDataset(root, { video: { backend } });
  const { frameCount, cameras } = dataset.info;
  const cameraKeys = cameras.map((camera) => camera.key);
  await dataset.images(frameCount >> 1, cameraKeys);
  const firstSampleSeconds = (performance.now() - began) / 1000;

  const order = new FrameOrder(frameCount, 'bench');
  const steps = Array.from({ length: samples + WARM_UP }, (_, step) => order.frameAt(step));
  const megabytes: number[] = [];
  const note = (): number => megabytes.push(process.memoryUsage().rss / 2 ** 20);
  let count = 0;
  let start = 0;
  for await (const sample of loadSamples(dataset, steps, { cameraKeys, chunkLength: CHUNK, prefetch: 16, reuseImages: true })) {
    if (sample.images.length !== cameraKeys.length) throw new Error('a camera is missing');
    count++;
    if (count === WARM_UP) start = performance.now();
    if (count === WARM_UP || count === WARM_UP + (samples >> 1)) note();
  }
  const samplesPerSecond = samples / ((performance.now() - start) / 1000);
  note();
  await dataset.close();
  return { samplesPerSecond, firstSampleSeconds, megabytes, peakMegabytes: process.resourceUsage().maxRSS / 1024 };
}

const [folder, backend, samples] = process.argv.slice(2);
console.log(JSON.stringify(await measure(folder!, backend as VideoBackend, Number(samples))));
