/**
 * How long trials without a policy take, and how often the expert and what needs no learning succeed.
 *
 *   npx nx bench demo-so100          1 000 trials in as many threads as there are cores
 */
import { availableParallelism } from 'node:os';
import { parentPort, Worker, workerData } from 'node:worker_threads';
import { deriveSeed, Random } from '@zk0/core';
import { demoTasks, DemoWorld, Expert } from '../src/index.ts';

const TRIALS = 1000;
const FPS = 5;
const KINDS = ['expert', 'motionless', 'random'] as const;
type Kind = (typeof KINDS)[number];
interface Counted {
  readonly task: string;
  readonly kind: Kind;
  readonly success: boolean;
}

async function work(from: number, step: number): Promise<void> {
  const worlds = await Promise.all(demoTasks.map(({ name }) => DemoWorld.create({ task: name, fps: FPS })));
  for (let index = from; index < TRIALS; index += step) {
    const world = worlds[index % worlds.length]!;
    const kind = KINDS[Math.floor(index / worlds.length) % KINDS.length]!;
    world.reset(deriveSeed('bench', index));
    const act = controller(kind, world, index);
    for (let frame = 0; frame < world.info.maxSteps && !world.success(); frame++) {
      const action = act();
      if (action === undefined) break;
      world.act(action);
    }
    parentPort!.postMessage({ task: world.task.name, kind, success: world.success() } satisfies Counted);
  }
}

function controller(kind: Kind, world: DemoWorld, index: number): () => readonly number[] | undefined {
  const rest = world.state();
  if (kind === 'motionless') return () => rest;
  if (kind === 'random') {
    const random = new Random(deriveSeed('bench-random', index));
    let action: readonly number[] = rest;
    return () => (action = action.map((value) => value + 8 * random.normal()));
  }
  const expert = new Expert(world, deriveSeed('bench-expert', index));
  return () => expert.next();
}

if (parentPort === null) {
  const threads = availableParallelism();
  const started = performance.now();
  const counts = new Map<string, [number, number]>();
  await Promise.all(
    Array.from({ length: threads }, async (_, from) => {
      const worker = new Worker(new URL(import.meta.url), { workerData: { from, step: threads } });
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
  for (const [key, [done, all]] of [...counts].sort(([a], [b]) => (a < b ? -1 : 1))) console.log(`${key.padEnd(30)} ${done} of ${all}`);
  console.log(`${TRIALS} trials in ${threads} threads: ${((performance.now() - started) / 1000).toFixed(1)} s, ${((user + system) / 1e6).toFixed(1)} CPU-s`);
} else {
  const { from, step } = workerData as { from: number; step: number };
  await work(from, step);
}
