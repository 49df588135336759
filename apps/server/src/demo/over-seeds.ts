import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { table, type Progress } from '@zk0/cli';
import { errorMessage, Zk0Error } from '@zk0/core';
import { formatRate } from '@zk0/rollout';
import { writeFileAtomic } from '@zk0/storage';
import { interval, type Interval } from '../compare/interval.ts';
import { demoPaths, questionOf, type DemoSettings } from './plan.ts';
import { runDemo, type DemoOutcome } from './run-demo.ts';
import { renderSuccessChart } from './success-chart.ts';

/** How often one way to get a policy does the task, over several seeds. */
export interface SeedsResult extends Interval {
  readonly name: string;
  /** The share of successes with each seed. */
  readonly rates: readonly number[];
}

export interface SeedsOutcome {
  /** With the first seed. */
  readonly settings: DemoSettings;
  readonly seeds: readonly number[];
  readonly results: readonly SeedsResult[];
}

/**
 * The demo with several seeds, from `settings.seed` on, one after the other, each in a folder of its own. A seed that has been run with the
 * same settings is not run again.
 *
 * @throws Zk0Error `RUN_FILES_UNREADABLE` for a folder with other settings; whatever `runDemo` throws
 */
export async function runDemoOverSeeds(settings: DemoSettings, count: number, out: string, progress: Progress, signal: AbortSignal): Promise<SeedsOutcome> {
  const seeds = Array.from({ length: count }, (_, index) => settings.seed + index);
  const outcomes: DemoOutcome[] = [];
  for (const seed of seeds) {
    const folder = join(out, `seed_${seed}`);
    const known = finished({ ...settings, seed }, demoPaths(folder).results);
    progress.print(known === null ? `seed ${seed}` : `seed ${seed}: it has been run already`);
    outcomes.push(known ?? (await runDemo({ ...settings, seed }, folder, progress, signal)));
  }
  const outcome = overSeeds(outcomes);
  const paths = demoPaths(out);
  await writeFileAtomic(paths.results, `${JSON.stringify(outcome, null, 2)}\n`);
  const subtitle = `${settings.trials} trials with each of ${count} seeds; means with 95 % intervals over the seeds`;
  const bars = outcome.results.map(({ name, mean, half }) => ({ name, highlight: name === outcome.results[0]!.name, rate: mean, ...ends(mean, half) }));
  await writeFileAtomic(paths.chart, await renderSuccessChart(questionOf(settings.tasks), subtitle, bars));
  return outcome;
}

/** Several outcomes that differ in nothing but their seeds. */
export function overSeeds(outcomes: readonly DemoOutcome[]): SeedsOutcome {
  const [first] = outcomes as [DemoOutcome];
  return {
    settings: first.settings,
    seeds: outcomes.map(({ settings: { seed } }) => seed),
    results: first.results.map(({ name }) => {
      const rates = outcomes.map(({ results }) => results.find((result) => result.name === name)!.rate);
      return { name, rates, ...interval(rates)! };
    }),
  };
}

/** Rows for people: every way to get a policy, on average and with each seed. */
export function seedsTable({ seeds, results }: Pick<SeedsOutcome, 'seeds' | 'results'>): string {
  return table(
    [{ header: 'trained' }, { header: 'mean (95 %)', align: 'right' }, ...seeds.map((seed) => ({ header: `seed ${seed}`, align: 'right' as const }))],
    results.map(({ name, mean, half, rates }) => [
      name,
      formatRate({ rate: mean, ...ends(mean, half) }),
      ...rates.map((rate) => `${(100 * rate).toFixed(0)} %`),
    ]),
  );
}

/** Where the interval ends: shares are neither below 0 nor above 1. */
function ends(mean: number, half: number | null): { readonly low: number; readonly high: number } {
  return { low: Math.max(0, mean - (half ?? 1)), high: Math.min(1, mean + (half ?? 1)) };
}

/** What an earlier demo left, where it has ended. */
function finished(settings: DemoSettings, path: string): DemoOutcome | null {
  if (!existsSync(path)) return null;
  let outcome: DemoOutcome;
  try {
    outcome = JSON.parse(readFileSync(path, 'utf8')) as DemoOutcome;
  } catch (error) {
    throw new Zk0Error('RUN_FILES_UNREADABLE', `${path} cannot be used: ${errorMessage(error)}`, { hint: 'Remove it, or give another --out.', cause: error });
  }
  if (isDeepStrictEqual(outcome.settings, JSON.parse(JSON.stringify(settings)))) return outcome;
  throw new Zk0Error('RUN_FILES_UNREADABLE', `${path} is of a demo with other settings`, { hint: 'Give another --out.' });
}
