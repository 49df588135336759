/**
 * What training and acting cost at full size, through the public interface: seconds and peak memory by cache tier, beside
 * the machine's own matrix product and LeRobot on PyTorch. Every figure comes from a process of its own.
 *
 *   npx nx bench policy-smolvla                        450 M parameters, random weights in bfloat16, 2 cameras, batch 8
 *   npx nx bench policy-smolvla -- --small --runs 10   the small preset
 *   npx nx bench policy-smolvla -- --only 'step off'   one figure
 *
 * ZK0_LEROBOT_PYTHON names a Python with LeRobot, which is then timed in the same run, before and after ours; without it its
 * recorded figures are printed. ZK0_BENCH_DIRECTORY keeps the checkpoint (0.9 GB) for the next run.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { presetDirectory } from '../src/preset/generate.ts';
import { SMALL } from '../src/preset/small.ts';
import { fullCheckpoint } from './full-model.ts';
import { leRobotFigures, type LeRobotRun } from './lerobot.ts';
import type { Measured, Setting, What } from './measure.ts';
import { median } from './median.ts';

const BATCH = 8;

const { values: options } = parseArgs({
  options: {
    small: { type: 'boolean', default: false },
    runs: { type: 'string', default: '3' },
    only: { type: 'string', multiple: true, default: [] },
    threads: { type: 'string', default: String(availableParallelism()) },
  },
});
const kept = process.env['ZK0_BENCH_DIRECTORY'];
const root = kept ?? (await mkdtemp(join(tmpdir(), 'zk0-bench-')));
const cacheDirectory = await mkdtemp(join(root, 'cache-'));
const runs = Number(options.runs);
const threads = Number(options.threads);

try {
  const checkpoint = options.small ? await presetDirectory(SMALL, root) : await fullCheckpoint(root);
  const setting: Setting = { checkpoint, cacheDirectory, threads, batch: BATCH, runs };
  const machine = await measure('machine', setting);
  print(`${cpus()[0]!.model}, ${threads} threads, Node ${process.version}; medians of ${runs}`);
  print(`onnxruntime's matrix product ${machine.matmulGflops!.toFixed(0)} GFLOP/s; AdamW over 100 M weights ${machine.optimizerSeconds!.toFixed(3)} s`);
  const lerobot = options.small ? undefined : await leRobotFigures(process.env['ZK0_LEROBOT_PYTHON'], runs, threads);
  if (lerobot !== undefined) {
    const { versions, matmulGflops } = lerobot.train;
    const names = Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(', ');
    print(`${names}: matrix product ${matmulGflops.toFixed(0)} GFLOP/s`);
    if (lerobot.recorded !== undefined) {
      const { where, onnxruntimeGflops } = lerobot.recorded;
      const pace = ((100 * machine.matmulGflops!) / onnxruntimeGflops).toFixed(0);
      print(`LeRobot's figures were recorded (${where}). This machine is now at ${pace} % of the pace of then: so are our figures, not LeRobot's.`);
    }
  }
  print(`\n${'what'.padEnd(30)}${['median s', 'LeRobot', 'peak GB', 'LeRobot', 'load s', 'GFLOP', 'GFLOP/s', 'of matmul'].map((title) => title.padStart(10)).join('')}`);
  const rows: readonly (readonly [what: What, title: string])[] = [
    ['fill vision', 'caching a frame, vision'],
    ['fill prefix', 'caching a frame, prefix'],
    ['step off', `step of ${BATCH}, uncached`],
    ['step vision', `step of ${BATCH}, vision cached`],
    ['step prefix', `step of ${BATCH}, prefix cached`],
    ['act', 'action chunk'],
  ];
  const compared: { readonly title: string; readonly seconds: number; readonly run: 'train' | 'act' }[] = [];
  for (const [what, title] of rows) {
    if (options.only.length > 0 && !options.only.includes(what)) continue;
    const found = await measure(what, setting);
    const run = what === 'act' ? 'act' : what.startsWith('step') ? 'train' : undefined;
    const theirs = run === undefined ? undefined : lerobot?.[run];
    if (run !== undefined) compared.push({ title, seconds: found.seconds, run });
    print(`${title.padEnd(30)}${cells(what, found, theirs, machine.matmulGflops!).map((cell) => cell.padStart(10)).join('')}`);
  }
  if (lerobot !== undefined && lerobot.recorded === undefined) {
    const again = await leRobotFigures(process.env['ZK0_LEROBOT_PYTHON'], runs, threads);
    const { matmulGflops } = await measure('machine', setting);
    print(`\nat the end: onnxruntime's matrix product ${matmulGflops!.toFixed(0)} GFLOP/s, PyTorch's ${again.train.matmulGflops.toFixed(0)}; LeRobot again:`);
    print(`${'what'.padEnd(30)}${['before s', 'after s', 'ours', 'ours'].map((title) => title.padStart(10)).join('')}`);
    for (const { title, seconds, run } of compared) {
      const [before, after] = [median(lerobot[run].seconds), median(again[run].seconds)];
      print(`${title.padEnd(30)}${[before.toFixed(2), after.toFixed(2), `${(before / seconds).toFixed(2)}×`, `${(after / seconds).toFixed(2)}×`].map((cell) => cell.padStart(10)).join('')}`);
    }
  }
} finally {
  await rm(kept === undefined ? root : cacheDirectory, { recursive: true, force: true });
}

async function measure(what: What, setting: Setting): Promise<Measured> {
  const script = fileURLToPath(new URL('measure.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [...process.execArgv, script, what, JSON.stringify(setting)]);
  return JSON.parse(stdout) as Measured;
}

function cells(what: What, found: Measured, theirs: LeRobotRun | undefined, matmul: number): string[] {
  const flop = flopOf(what, found) / 1e9;
  const rate = flop / found.seconds;
  const middle = theirs === undefined ? undefined : median(theirs.seconds);
  return [
    found.seconds.toFixed(2),
    middle === undefined ? '' : `${(middle / found.seconds).toFixed(2)}×`,
    (found.peakBytes / 1e9).toFixed(2),
    theirs === undefined ? '' : (theirs.peakBytes / 1e9).toFixed(2),
    found.loadSeconds!.toFixed(1),
    flop.toFixed(0),
    rate.toFixed(0),
    `${((100 * rate) / matmul).toFixed(0)} %`,
  ];
}

function flopOf(what: What, { work }: Measured): number {
  const { vision, prefix, train, act } = work!;
  switch (what) {
    case 'fill vision':
      return vision;
    case 'fill prefix':
      return vision + prefix;
    case 'step off':
      return BATCH * (vision + prefix + train);
    case 'step vision':
      return BATCH * (prefix + train);
    case 'step prefix':
      return BATCH * train;
    case 'act':
      return vision + prefix + act;
    case 'machine':
      return 0;
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
