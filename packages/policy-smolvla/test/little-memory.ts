/**
 * A program of its own: trains the tiny policy in batches of the size that the first argument says, with as many bytes more memory than it has by
 * then as the second says (all the machine's where there is none), and says as JSON what came of it. Linux only.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { normalizerOf, syntheticDataset } from './synthetic-dataset.ts';
import { openTinyPolicy } from './tiny-policy.ts';

const [batchSize, bytes] = process.argv.slice(2).map(Number) as [number, number | undefined];
const tiny = await openTinyPolicy();
const dataset = syntheticDataset({ episodes: 1, framesPerEpisode: 8 });
const changes: unknown[] = [];
const learner = tiny.policy.learner(dataset, { normalizer: normalizerOf(dataset), cache: 'prefix', onBatchParts: (change) => changes.push(change) });
const instructions = { round: 1, seed: 'fit', localSteps: 2, batchSize, learningRate: 1e-3, proximalMu: 0.01 };
// Loads and encodes whatever does not depend on the batch.
await learner.fit(tiny.initial, { ...instructions, batchSize: 2 });
if (bytes !== undefined) {
  const [, taken] = /^VmData:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))!;
  execFileSync('prlimit', ['--pid', String(process.pid), `--data=${1024 * Number(taken) + bytes}`]);
}
const { metrics } = await learner.fit(tiny.initial, instructions);
process.stdout.write(JSON.stringify({ metrics, changes }));
await learner.close();
await tiny.close();
