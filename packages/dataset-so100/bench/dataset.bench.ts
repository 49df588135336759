/**
 * `npx nx bench dataset-so100 [-- options]`: samples per second at random access over two 640×480 cameras, memory, time
 * to the first sample, statistics; one table.
 *
 * - `--samples N`: samples of each measurement (default 1000; 10 000 shows that memory stays flat)
 * - `--backends node-av,wasm,ffmpeg`: which of ours
 * - `--python PATH`: a Python with LeRobot, which is measured over the same files (`measure_lerobot.py`)
 */
import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Random } from '@zk0/core';
import { RunningStatistics, type VideoCodec } from '@zk0/dataset-so100';
import { benchSet } from './make-set.ts';
import type { Measurement } from './measure-loading.ts';

const { values: options } = parseArgs({
  options: {
    samples: { type: 'string', default: '1000' },
    backends: { type: 'string', default: 'node-av' },
    python: { type: 'string' },
  },
});
const samples = Number(options.samples);
const CODECS: readonly VideoCodec[] = ['av1', 'h264'];

/** Samples for a reader: those that are slow by design get fewer. */
const samplesOf = (reader: string): number => Math.ceil(reader === 'ffmpeg' ? samples / 20 : reader === 'wasm' ? samples / 4 : samples);

function run(command: string, args: readonly string[]): Measurement {
  const output = execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return JSON.parse(output.trim().split('\n').at(-1)!) as Measurement;
}

function ours(root: string, backend: string): Measurement {
  const script = path.join(import.meta.dirname, 'measure-loading.ts');
  return run(process.execPath, [...process.execArgv, script, root, backend, String(samplesOf(backend))]);
}

function lerobot(root: string, backend: string, workers: number): Measurement {
  const script = path.join(import.meta.dirname, 'measure_lerobot.py');
  return run(options.python!, [script, root, backend, String(workers), String(Math.ceil(samples / 3))]);
}

function statistics(): string {
  const rows = new Float32Array(20_000 * 12);
  new Random('statistics').fillNormal(rows);
  const start = performance.now();
  const running = new RunningStatistics(12);
  const episode = 500 * 12;
  for (let at = 0; at < rows.length; at += episode) running.update(rows.subarray(at, at + episode));
  const { moments } = running.statistics();
  const ms = (performance.now() - start).toFixed(1);
  return `statistics with quantiles of ${moments.count} rows of 12 values in 40 episodes: ${ms} ms`;
}

const rows: { reader: string; codec: string; measured: Measurement }[] = [];
for (const codec of CODECS) {
  const root = await benchSet(codec);
  for (const backend of options.backends.split(',')) {
    if (backend === 'wasm' && codec !== 'av1') continue;
    rows.push({ reader: `this package, ${backend}`, codec, measured: ours(root, backend) });
  }
  if (options.python === undefined) continue;
  for (const backend of ['pyav', 'torchcodec']) {
    for (const workers of [0, 2]) {
      rows.push({ reader: `LeRobot, ${backend}, ${workers} workers`, codec, measured: lerobot(root, backend, workers) });
    }
  }
}

const versions = rows.find(({ measured }) => measured.versions !== undefined)?.measured.versions;
console.log(`Node ${process.version}, ${availableParallelism()} cores${versions === undefined ? '' : `; ${JSON.stringify(versions)}`}`);
console.log(statistics());
console.log('| reader | codec | samples/s | first sample after | memory | peak |\n|---|---|---|---|---|---|');
for (const { reader, codec, measured } of rows) {
  const { samplesPerSecond, firstSampleSeconds, megabytes, peakMegabytes } = measured;
  const first = firstSampleSeconds == null ? '' : `${firstSampleSeconds.toFixed(2)} s`;
  const memory = megabytes === undefined ? '' : megabytes.map((value) => value.toFixed(0)).join(' → ');
  console.log(`| ${reader} | ${codec} | ${samplesPerSecond.toFixed(1)} | ${first} | ${memory} | ${peakMegabytes.toFixed(0)} MB |`);
}
