/**
 * What kept moments cost a client in a round: `node --conditions=@zk0/source bench/optimizer-store.ts [values …]`. Moments of so many
 * trained values (of the preset `small`, and of a policy of SmolVLA's size), in 100 tensors, are opened and read, written, and named.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { byteLength, MemoryTensorSource, momentSpecs, type TensorSpec } from '@zk0/core';
import { OptimizerStore } from '../src/participant/optimizer-store.ts';
import type { UpdatePosition } from '../src/participant/run-files.ts';

const ROUNDS = 10;
const sizes = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [1_240_000, 99_900_000];

/** Wall and processor time of some work, in ms. */
async function timed<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly wall: number; readonly cpu: number }> {
  const [before, started] = [process.cpuUsage(), performance.now()];
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  return { result, wall: performance.now() - started, cpu: (user + system) / 1000 };
}

const median = (values: readonly number[]): string => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!.toFixed(0);

for (const values of sizes) {
  const directory = mkdtempSync(join(tmpdir(), 'zk0-optimizer-bench-'));
  try {
    const tensors = 100;
    const parameters = Array.from({ length: tensors }, (_, index): TensorSpec => ({ name: `layer.${index}.weight`, dtype: 'F32', shape: [Math.round(values / tensors)] }));
    const moments = new MemoryTensorSource(momentSpecs(parameters).map((spec) => ({ ...spec, data: new Uint8Array(byteLength(spec)) })));
    const into = new Uint8Array(byteLength(parameters[0]!));
    const store = new OptimizerStore(directory, 'bench');
    const times: Record<'open' | 'keep', { wall: number; cpu: number }[]> = { open: [], keep: [] };
    let last: UpdatePosition['last'] = null;
    for (let round = 1; round <= ROUNDS + 1; round++) {
      const position = { runId: 'bench', round, last };
      const open = await timed(async () => {
        const { state, lost } = await store.open(position, parameters);
        if (lost !== undefined) throw new Error(lost);
        for (const { name } of state?.moments.specs ?? []) await state!.moments.readBytes(name, 0, into);
        await state?.moments.close();
        return state;
      });
      const update = round.toString(16).padStart(64, '0');
      const keep = await timed(async () => {
        await store.name(position, await store.write(position, { stepsTaken: round, moments }), update);
      });
      // The first round finds nothing.
      if (open.result !== null) for (const [name, time] of [['open', open], ['keep', keep]] as const) times[name].push(time);
      last = { round, update };
    }
    for (const [name, measured] of Object.entries(times)) {
      console.log(`${values} values, ${name}: ${median(measured.map(({ wall }) => wall))} ms, processor ${median(measured.map(({ cpu }) => cpu))} ms (medians of ${ROUNDS})`);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
