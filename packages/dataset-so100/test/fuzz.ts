/**
 * Reads damaged copies of small datasets in every way that this package has, and fails when one ends in anything but a
 * result or a typed error, takes more than a minute of processor time, or makes the process grow.
 *
 *     npx nx fuzz dataset-so100                                     10 000 mutations
 *     node --conditions=@zk0/source test/fuzz.ts [runs] [seed] [processes]
 *
 * Every 1 000 mutations have a process and a seed of their own: SEED-0, SEED-1, …. A failure names that seed, with which it comes again:
 *
 *     node --conditions=@zk0/source test/fuzz.ts 1000 SEED-0 here
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import { Random, Zk0Error } from '@zk0/core';
import { convertDataset, DROP_REASONS, inspectDataset, openDataset, repairDataset, validateDataset } from '../src/index.ts';
import { editVisits } from './fuzz-edits.ts';
import { CODINGS, encodeNumbered } from './encode-video.ts';
import { PICTURE_SIZE, put, writeFixture } from './fixtures.ts';
import { filesOf, withMutation } from './mutations.ts';

/** Of a mutation, in seconds. A busy or sleeping machine makes the clock run on, not the processor's time. */
const MAX_PROCESSOR_SECONDS = 60;
const MAX_WALL_SECONDS = 900;
const MAX_RSS = 1.5 * 2 ** 30;

interface FuzzSet {
  readonly root: string;
  readonly files: readonly string[];
}

/** What is done with a damaged set; each returns a word for how it ended. */
const VISITS: readonly ((root: string) => Promise<string>)[] = [readAll, validate, ...editVisits(readAll), repair, inspect, convert];

async function readAll(root: string): Promise<string> {
  const dataset = await openDataset(root, { video: { threads: 1 } });
  try {
    const { frameCount, cameras } = dataset.info;
    for (let frame = 0; frame < frameCount; frame++) {
      dataset.state(frame);
      dataset.actionChunk(frame, 3);
      dataset.task(frame);
    }
    for (const { key } of cameras) for (const frame of [0, frameCount - 1]) await dataset.images(frame, [key]);
    return 'read';
  } finally {
    await dataset.close();
  }
}

async function validate(root: string): Promise<string> {
  const { ok } = await validateDataset(root, { samples: 2, motion: true, video: { threads: 1 } });
  return ok ? 'valid' : 'invalid';
}

async function inspect(root: string): Promise<string> {
  await inspectDataset(root);
  return 'inspected';
}

async function repair(root: string): Promise<string> {
  const copy = `${root}-copy`;
  try {
    await repairDataset(root, copy, { drop: DROP_REASONS, video: { threads: 1 } });
    // Whatever was wrong with the original, the copy is sound.
    const { ok, findings } = await validateDataset(copy, { samples: 2, video: { threads: 1 } });
    if (!ok) throw new Error(`the repaired copy is not sound: ${findings.find(({ severity }) => severity === 'error')!.message}`);
    return 'repaired';
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

async function convert(root: string): Promise<string> {
  const copy = `${root}-copy`;
  try {
    await convertDataset(root, copy, { video: { threads: 1 } });
    return 'converted';
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

/** One small set of each format, whose videos are coded in four ways, and two that keep pictures in rows or beside them. */
async function makeSets(folder: string): Promise<FuzzSet[]> {
  return [...(await makeVideoSets(folder)), ...(await makePictureSets(folder))];
}

async function makePictureSets(folder: string): Promise<FuzzSet[]> {
  const [inRows, beside] = ['observation.images.top', 'observation.images.wrist'] as const;
  const lengths = [3, 2];
  const pixels = Uint8Array.from({ length: PICTURE_SIZE.width * PICTURE_SIZE.height * 3 }, (_, i) => (i * 37) & 255);
  const cells = await Promise.all(
    [0, 1, 2, 3, 4].map(async (frame) => {
      const image = sharp(pixels.map((value) => value + 40 * frame), { raw: { ...PICTURE_SIZE, channels: 3 } });
      return { bytes: await (frame % 2 === 0 ? image.png() : image.jpeg()).toBuffer(), path: `frame-00000${frame}.png` };
    }),
  );
  return await Promise.all(
    (['v2.1', 'v3.0'] as const).map(async (version) => {
      const root = path.join(folder, `pictures-${version}`);
      const named = cells.map(() => ({ bytes: null, path: null }));
      await writeFixture(root, { version, lengths, cameras: [], pictures: { [inRows]: cells, [beside]: named } });
      for (const [i, { bytes }] of cells.entries()) {
        const [episode, frame] = i < 3 ? [0, i] : [1, i - 3];
        await put(root, `images/${beside}/episode_00000${episode}/frame_00000${frame}.png`, bytes);
      }
      return { root, files: await filesOf(root) };
    }),
  );
}

async function makeVideoSets(folder: string): Promise<FuzzSet[]> {
  const codings = Object.values(CODINGS);
  return await Promise.all(
    (['v2.0', 'v2.1', 'v3.0'] as const).map(async (version, set) => {
      const root = path.join(folder, version);
      const cameras = ['observation.images.top', 'observation.images.wrist'];
      await writeFixture(root, { version, lengths: [5, 7, 3], cameras });
      const files = await filesOf(root);
      files
        .filter((file) => file.endsWith('.mp4'))
        .forEach((file, i) => {
          encodeNumbered(path.join(root, file), codings[(i + set) % codings.length]!, { frames: 12, fps: 10 });
        });
      return { root, files };
    }),
  );
}

/** Mutations of a set that is refused as it is would try nothing but the refusal. A copy is kept to merge damaged ones with. */
async function assertSound({ root }: FuzzSet): Promise<void> {
  await readAll(root);
  const ended = [await validate(root), await repair(root)];
  if (ended.join() !== 'valid,repaired') throw new Error(`${root} is not sound before it is damaged: ${ended.join()}`);
  if (!root.endsWith('v3.0')) await convert(root);
  await cp(root, `${root}-sound`, { recursive: true });
  for (const edit of editVisits(readAll)) await edit(root);
}

/** How mutations ended. */
export interface FuzzResult {
  /** By error code or by what was done: how often. */
  readonly outcomes: ReadonlyMap<string, number>;
  /** What must not be: untyped errors, unsound copies, slowness, growth. The first 20. */
  readonly failures: readonly string[];
}

/** Runs so many mutations; goes on after a failure. */
export async function fuzz(runs: number, seed: string, onRun?: (run: number) => void, onFailure?: (failure: string) => void): Promise<FuzzResult> {
  const folder = await mkdtemp(path.join(tmpdir(), 'zk0-fuzz-'));
  const outcomes = new Map<string, number>();
  const failures: string[] = [];
  const random = new Random(seed);
  try {
    const sets = await makeSets(folder);
    for (const set of sets) await assertSound(set);
    for (let run = 0; run < runs; run++) {
      const { root, files } = sets[run % sets.length]!;
      const visit = VISITS[Math.floor(run / sets.length) % VISITS.length]!;
      const start = performance.now();
      const startProcessor = process.cpuUsage();
      let damaged = '';
      const fail = (what: string): void => {
        const failure = `run ${run} (seed ${seed}, ${visit.name}, ${path.relative(folder, root)}/${damaged}): ${what}`;
        onFailure?.(failure);
        if (failures.length < 20) failures.push(failure);
      };
      const outcome = await withMutation(root, files, random, async (file) => {
        damaged = file;
        try {
          return await visit(root);
        } catch (error) {
          if (error instanceof Zk0Error) return error.code;
          fail(error instanceof Error ? (error.stack ?? error.message) : String(error));
          return 'FAILED';
        }
      });
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      const { user, system } = process.cpuUsage(startProcessor);
      const [seconds, processorSeconds] = [(performance.now() - start) / 1000, (user + system) / 1e6];
      if (processorSeconds > MAX_PROCESSOR_SECONDS) fail(`it took ${processorSeconds.toFixed(1)} s of processor time`);
      if (seconds > MAX_WALL_SECONDS) fail(`it took ${seconds.toFixed(0)} s`);
      const { rss } = process.memoryUsage();
      if (rss > MAX_RSS) fail(`the process has grown to ${rss} bytes`);
      onRun?.(run);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return { outcomes, failures };
}

async function fuzzHere(runs: number, seed: string): Promise<boolean> {
  const start = performance.now();
  const seconds = (): string => ((performance.now() - start) / 1000).toFixed(0);
  let peak = 0;
  const onRun = (run: number): void => {
    peak = Math.max(peak, process.memoryUsage().rss);
    process.send?.(run);
    if (run % 500 === 499) console.log(`${seed}: ${run + 1} runs, ${seconds()} s`);
  };
  // Told at once: hours of runs may be stopped before they end.
  const { outcomes, failures } = await fuzz(runs, seed, onRun, (failure) => {
    console.error(failure);
  });
  console.log(Object.fromEntries(outcomes));
  console.log(`${seed}: ${runs} mutations in ${seconds()} s, at most ${(peak / 2 ** 20).toFixed(0)} MB, ${failures.length} failures`);
  return failures.length === 0;
}

/** Mutations of one process: after so many a fresh one goes on, with sets and a seed of its own. */
const SHARE = 1000;

/** One share in a process of its own, which is ended when a mutation of it does not end. */
async function fuzzShare(runs: number, seed: string): Promise<boolean> {
  const child = spawn(process.execPath, [...process.execArgv, import.meta.filename, String(runs), seed, 'here'], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  let done = -1;
  const watch = (): NodeJS.Timeout =>
    setTimeout(() => {
      console.error(`run ${done + 1} (seed ${seed}) did not end within ${MAX_WALL_SECONDS} s`);
      child.kill('SIGKILL');
    }, MAX_WALL_SECONDS * 1000);
  let timer = watch();
  child.on('message', (run) => {
    done = Number(run);
    clearTimeout(timer);
    timer = watch();
  });
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
  clearTimeout(timer);
  if (code !== 0) console.error(`seed ${seed} ended with ${code ?? signal} after run ${done}`);
  return code === 0;
}

/** Shares the runs out, so many processes at a time: a mutation keeps one processor busy. */
async function fuzzInProcesses(runs: number, seed: string, processes: number): Promise<boolean> {
  const shares = Array.from({ length: Math.ceil(runs / SHARE) }, (_, i) => ({ runs: Math.min(SHARE, runs - i * SHARE), seed: `${seed}-${i}` }));
  let isFine = true;
  const work = async (): Promise<void> => {
    for (let share = shares.shift(); share !== undefined; share = shares.shift()) {
      if (!(await fuzzShare(share.runs, share.seed))) isFine = false;
    }
  };
  await Promise.all(Array.from({ length: processes }, work));
  return isFine;
}

if (process.argv[1] === import.meta.filename) {
  const [runs = '10000', seed = 'fuzz', processes = String(availableParallelism())] = process.argv.slice(2);
  const isFine = processes === 'here' ? await fuzzHere(Number(runs), seed) : await fuzzInProcesses(Number(runs), seed, Number(processes));
  process.exitCode = isFine ? 0 : 1;
}
