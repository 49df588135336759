/**
 * How long trials without a policy take, and whether they judge rightly: how often the expert, what needs no learning, and blind
 * replay succeed. Ends with 1 where the expert does less than 95 % of a task's trials, or an arm that does nothing or moves at random
 * does any.
 *
 *   npx nx bench demo-so100                                   1 000 trials of the demo tasks, in as many threads as there are cores
 *   node --conditions=@zk0/source bench/world.bench.ts 200 tabletop    200 trials of LeRobot's task, re-created
 */
import { availableParallelism } from 'node:os';
import { parentPort, Worker, workerData } from 'node:worker_threads';
import { deriveSeed, Random } from '@zk0/core';
import { demoTasks, DemoWorld, TabletopWorld } from '../src/index.ts';

const [trials = '1000', which = 'demo'] = process.argv.slice(2);
const TRIALS = Number(trials);
const FPS = 5;
/** Demonstrations of a task that blind replay draws from. */
const RECORDINGS = 4;
const LEAST_OF_EXPERT = 0.95;
const KINDS = ['expert', 'motionless', 'random', 'replay'] as const;
type Kind = (typeof KINDS)[number];
type BenchWorld = DemoWorld | TabletopWorld;
interface Counted {
  readonly task: string;
  readonly kind: Kind;
  readonly success: boolean;
}

async function work(from: number, step: number): Promise<void> {
  const worlds: BenchWorld[] = which === 'tabletop' ? [await TabletopWorld.create()] : await Promise.all(demoTasks.map(({ name }) => DemoWorld.create({ task: name, fps: FPS })));
  const recordings = new Map<BenchWorld, number[][][]>();
  for (let index = from; index < TRIALS; index += step) {
    const world = worlds[index % worlds.length]!;
    const kind = KINDS[Math.floor(index / worlds.length) % KINDS.length]!;
    if (kind === 'replay' && !recordings.has(world)) recordings.set(world, record(world));
    world.reset(deriveSeed('bench', index));
    run(world, controller(kind, world, index, recordings.get(world) ?? []));
    parentPort!.postMessage({ task: world.info.name, kind, success: world.success() } satisfies Counted);
  }
}

function run(world: BenchWorld, act: () => readonly number[] | undefined): number[][] {
  const actions: number[][] = [];
  while (actions.length < world.info.maxSteps && !world.success()) {
    const action = act();
    if (action === undefined) break;
    world.act(action);
    actions.push([...action]);
  }
  return actions;
}

function record(world: BenchWorld): number[][][] {
  return Array.from({ length: RECORDINGS }, (_, index) => {
    world.reset(deriveSeed('bench-recording', index));
    const expert = world.expert(deriveSeed('bench-recorded', index));
    return run(world, () => expert.next());
  });
}

function controller(kind: Kind, world: BenchWorld, index: number, recordings: readonly number[][][]): () => readonly number[] | undefined {
  const rest = world.state();
  switch (kind) {
    case 'motionless':
      return () => rest;
    case 'random': {
      const random = new Random(deriveSeed('bench-random', index));
      const stride = 8 * Math.sqrt(FPS / world.info.fps);
      let action: readonly number[] = rest;
      return () => (action = action.map((value) => value + stride * random.normal()));
    }
    case 'replay': {
      const recording = recordings[new Random(deriveSeed('bench-replay', index)).below(recordings.length)]!;
      let frame = 0;
      return () => recording[frame++];
    }
    case 'expert': {
      const expert = world.expert(deriveSeed('bench-expert', index));
      return () => expert.next();
    }
  }
}

if (parentPort === null) {
  const threads = availableParallelism();
  const started = performance.now();
  const counts = new Map<string, [number, number]>();
  await Promise.all(
    Array.from({ length: threads }, async (_, from) => {
      const worker = new Worker(new URL(import.meta.url), { argv: process.argv.slice(2), workerData: { from, step: threads } });
      worker.on('message', ({ task, kind, success }: Counted) => {
        for (const key of [`${kind} ${task}`, kind]) {
          const [done, all] = counts.get(key) ?? [0, 0];
          counts.set(key, [done + (success ? 1 : 0), all + 1]);
        }
      });
      await new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));
    }),
  );
  const { user, system } = process.cpuUsage();
  for (const [key, [done, all]] of [...counts].sort(([a], [b]) => (a < b ? -1 : 1))) console.log(`${key.padEnd(40)} ${done} of ${all}`);
  console.log(`${TRIALS} trials in ${threads} threads: ${((performance.now() - started) / 1000).toFixed(1)} s, ${((user + system) / 1e6).toFixed(1)} CPU-s`);
  const wrong = [...counts].filter(([key, [done, all]]) => (key.startsWith('expert') ? done < LEAST_OF_EXPERT * all : !key.startsWith('replay') && done > 0));
  for (const [key] of wrong) console.error(`error: the evaluator is not valid: ${key}`);
  process.exitCode = wrong.length === 0 ? 0 : 1;
} else {
  const { from, step } = workerData as { from: number; step: number };
  await work(from, step);
}
