import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createProgress } from '@zk0/cli';
import { successRate } from '@zk0/rollout';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { overSeeds, runDemoOverSeeds, seedsTable } from './over-seeds.ts';
import { demoPaths, QUICK, type DemoSettings } from './plan.ts';
import type { DemoOutcome } from './run-demo.ts';

const settings = (seed: number): DemoSettings => ({ ...QUICK, trials: 10, seed });
const outcome = (seed: number, together: number, alone: number): DemoOutcome => ({
  settings: settings(seed),
  results: [['together', together], ['alone: left', alone]].map(([name, successes]) => ({ name: String(name), places: [], checkpoint: null, ...successRate(Number(successes), 10) })),
  seconds: {},
});

describe('several demos', () => {
  it('have means with an interval over the seeds, Student’s t', () => {
    const { seeds, results } = overSeeds([outcome(42, 7, 1), outcome(43, 8, 1), outcome(44, 6, 1)]);
    expect(seeds).toEqual([42, 43, 44]);
    expect(results).toMatchObject([
      { name: 'together', rates: [0.7, 0.8, 0.6], mean: expect.closeTo(0.7) as number, half: expect.closeTo((4.303 * 0.1) / Math.sqrt(3)) as number },
      { name: 'alone: left', half: expect.closeTo(0) as number },
    ]);
  });

  it('are a table by seed, whose intervals stay between nothing and everything', () => {
    const lines = seedsTable(overSeeds([outcome(42, 10, 0), outcome(43, 8, 2)])).split('\n');
    expect(lines.at(-2)).toMatch(/together\s+90 % \(0 – 100\)\s+100 %\s+80 %/);
  });
});

describe('a demo with several seeds', () => {
  const progress = createProgress(process.stderr);
  let out: string;
  beforeEach(async () => {
    out = await mkdtemp(join(tmpdir(), 'zk0-seeds-'));
  });
  afterEach(() => rm(out, { recursive: true }));
  const leave = async (folder: string, text: string): Promise<void> => {
    await mkdir(join(out, folder), { recursive: true });
    await writeFile(demoPaths(join(out, folder)).results, text);
  };

  it('goes on from the seeds that were run, and leaves numbers and a chart of all', async () => {
    await leave('seed_42', JSON.stringify(outcome(42, 7, 1)));
    await leave('seed_43', JSON.stringify(outcome(43, 8, 2)));
    const { results } = await runDemoOverSeeds(settings(42), 2, out, progress, new AbortController().signal);
    expect(results.map(({ rates }) => rates)).toEqual([[0.7, 0.8], [0.1, 0.2]]);
    expect(JSON.parse(await readFile(demoPaths(out).results, 'utf8'))).toMatchObject({ seeds: [42, 43] });
    expect((await readFile(demoPaths(out).chart)).subarray(1, 4).toString()).toBe('PNG');
  });

  it.each([
    ['of a demo with other settings', JSON.stringify({ ...outcome(42, 7, 1), settings: { ...settings(42), rounds: 7 } }), /other settings/],
    ['that cannot be read', '{"settings":', /cannot be used/],
  ])('does not go on from numbers %s', async (_, text, words) => {
    await leave('seed_42', text);
    await expect(runDemoOverSeeds(settings(42), 2, out, progress, new AbortController().signal)).rejects.toMatchObject({
      code: 'RUN_FILES_UNREADABLE',
      message: expect.stringMatching(words) as string,
    });
  });
});
