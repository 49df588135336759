/**
 * What a step of the small preset costs with and without LoRA, its prefix cached: medians of rounds that take turns, so that a machine's pace,
 * which changes, is the same for all.
 *
 *   node --conditions=@zk0/source bench/lora-steps.ts [rounds]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPolicy } from '../src/index.ts';
import { normalizerOf, syntheticDataset } from '../test/synthetic-dataset.ts';

const STEPS = 25;
const rounds = Number(process.argv[2] ?? 5);
const cacheDirectory = await mkdtemp(join(tmpdir(), 'zk0-lora-steps-'));
const dataset = syntheticDataset({ episodes: 1, framesPerEpisode: 64 });
const features = { stateSize: 6, actionSize: 6, cameras: dataset.info.cameras.map(({ key }) => key) };
const kinds = await Promise.all(
  [undefined, 16, 64, 128, 256].map(async (rank) => {
    const policy = await openPolicy('small', { device: 'cpu', threads: 1, cacheDirectory, features, lora: rank === undefined ? undefined : { rank, alpha: rank } });
    const learner = policy.learner(dataset, { normalizer: normalizerOf(dataset), cache: 'prefix' });
    return { rank, policy, learner, from: await policy.initialParameters(), wall: [] as number[], cpu: [] as number[] };
  }),
);
for (let round = 0; round <= rounds; round++) {
  for (const { learner, from, wall, cpu } of kinds) {
    const [begun, before] = [performance.now(), process.cpuUsage()];
    await learner.fit(from, { round: 1, seed: 'bench', localSteps: STEPS, batchSize: 8, learningRate: 1e-3, proximalMu: 0 });
    const { user, system } = process.cpuUsage(before);
    if (round === 0) continue;
    wall.push((performance.now() - begun) / STEPS);
    cpu.push((user + system) / 1000 / STEPS);
  }
}
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
for (const { rank, policy, learner, wall, cpu } of kinds) {
  process.stdout.write(`${rank === undefined ? 'weights ' : `rank ${rank}`.padEnd(8)}  ${median(wall).toFixed(1)} ms a step, ${median(cpu).toFixed(1)} ms of processor time\n`);
  await learner.close();
  await policy.close();
}
await rm(cacheDirectory, { recursive: true, force: true });
