/**
 * Opens damaged copies of small datasets, `node --conditions=@zk0/source test/fuzz.ts [runs] [seed]`, and fails when one
 * ends in anything but a dataset or a typed error, takes longer than 15 s, or makes the process grow past 1 GB.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Random } from '@zk0/core';
import { DatasetError, openDataset, validateDataset } from '../src/index.ts';
import { writeFixture } from './fixtures.ts';
import { filesOf, withMutation } from './mutations.ts';

/** Runs so many mutations; returns how many were refused, by code. */
export async function fuzz(runs: number, seed: string): Promise<ReadonlyMap<string, number>> {
  const folder = await mkdtemp(path.join(tmpdir(), 'zk0-fuzz-'));
  const outcomes = new Map<string, number>();
  const random = new Random(seed);
  const sets = await Promise.all(
    (['v2.0', 'v2.1', 'v3.0'] as const).map(async (version) => {
      const root = path.join(folder, version);
      await writeFixture(root, { version, lengths: [5, 7, 3] });
      return { root, files: await filesOf(root) };
    }),
  );
  try {
    for (let run = 0; run < runs; run++) {
      const { root, files } = sets[run % sets.length]!;
      const start = performance.now();
      const outcome = await withMutation(root, files, random, async (file) => {
        try {
          if (run % 5 === 0) return (await validateDataset(root, { samples: 0 })).ok ? 'valid' : 'invalid';
          await (await openDataset(root)).close();
          return 'opened';
        } catch (error) {
          if (!(error instanceof DatasetError)) throw new Error(`run ${run} (seed ${seed}, ${file})`, { cause: error });
          return error.code;
        }
      });
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      const seconds = (performance.now() - start) / 1000;
      if (seconds > 15) throw new Error(`run ${run} (seed ${seed}) took ${seconds.toFixed(1)} s`);
      const { rss } = process.memoryUsage();
      if (rss > 2 ** 30) throw new Error(`run ${run} (seed ${seed}): the process has grown to ${rss} bytes`);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return outcomes;
}

if (process.argv[1] === import.meta.filename) {
  console.log(Object.fromEntries(await fuzz(Number(process.argv[2] ?? 10_000), process.argv[3] ?? 'fuzz')));
}
