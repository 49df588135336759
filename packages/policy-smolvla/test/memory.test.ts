import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

interface Outcome {
  readonly metrics: Readonly<Record<string, number>>;
  readonly changes: readonly { readonly batchSize: number; readonly parts: number; readonly reason: string }[];
}

/** In the long form of the tests: a process whose memory ends wherever it happens to be may die of it. */
const canLimit = process.env['ZK0_TESTS'] === 'long' && spawnSync('prlimit', ['--version']).status === 0;
/** A step of so many samples takes some 1.1 GB, a step of half of them some 600 MB. */
const [BATCH, ROOM] = [6144, 900e6];

function train(...args: readonly number[]): Outcome {
  const program = fileURLToPath(new URL('little-memory.ts', import.meta.url));
  const said = execFileSync(process.execPath, ['--conditions=@zk0/source', program, ...args.map(String)], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  return JSON.parse(said) as Outcome;
}

it.skipIf(!canLimit)('a batch that memory has no room for is computed in parts, with the same result (test-long; needs prlimit)', { timeout: 240_000 }, () => {
  const [whole, parted] = [train(BATCH), train(BATCH, ROOM)];
  expect(whole.changes).toEqual([]);
  expect(whole.metrics).not.toHaveProperty('num_batch_parts');
  expect(parted.changes.map(({ batchSize, parts }) => ({ batchSize, parts }))).toEqual([{ batchSize: BATCH, parts: 2 }]);
  expect(parted.changes[0]!.reason).toMatch(/^the memory of device cpu does not suffice/);
  expect(parted.metrics['num_batch_parts']).toBe(2);
  for (const name of ['loss', 'policy_loss', 'fedprox_loss', 'grad_norm', 'param_update_norm']) {
    expect(Math.abs(parted.metrics[name]! / whole.metrics[name]! - 1), name).toBeLessThan(1e-4);
  }
});
