import { join, resolve } from 'node:path';
import { createProgress, table } from '@zk0/cli';
import { InvalidArgumentError } from '@zk0/core';
import { formatRate } from '@zk0/rollout';
import { Command } from 'commander';
import { demoPaths, FULL, homesOf, isOneTask, MIXED_TASKS, QUICK, type DemoSettings } from '../demo/plan.ts';
import { runDemoOverSeeds, seedsTable } from '../demo/over-seeds.ts';
import { runDemo, type DemoOutcome } from '../demo/run-demo.ts';
import { makeWritable } from '../state-files.ts';
import type { Run } from './run-action.ts';

interface DemoFlags {
  readonly full?: boolean;
  readonly mixed?: boolean;
  readonly seed: number;
  readonly seeds: number;
  readonly rounds?: number;
  readonly trials?: number;
  readonly out?: string;
}

/** `zk0-server demo`: three homes that can each do a third of a task, and together all of it. */
export function demoCommand(run: Run): Command {
  const command = new Command('demo')
    .description('Three simulated homes learn one task, each with its own place for the thing: alone, together, with all data in one place.')
    .option('--full', 'almost three times the training: a quarter of an hour')
    .option('--mixed', 'homes that differ in task, object and scene as well')
    .option('--seed <n>', 'fixes recordings, training and trials', Number, 42)
    .option('--seeds <n>', 'repeats it with so many seeds, from --seed on, and gives the intervals over them', Number, 1)
    .option('--rounds <n>', 'federated rounds', Number)
    .option('--trials <n>', 'trials of every policy', Number)
    .option('--out <dir>', 'outputs directory (default: outputs/demo_<time>)')
    .option('--verbose', 'error codes and stacks with errors');
  command.action((flags: DemoFlags) => {
    run(async (signal) => {
      await demo(flags, signal);
      return undefined;
    });
  });
  return command;
}

async function demo(flags: DemoFlags, signal: AbortSignal): Promise<void> {
  const form = flags.full === true ? FULL : QUICK;
  const tasks = flags.mixed === true ? MIXED_TASKS : form.tasks;
  const settings: DemoSettings = { ...form, tasks, seed: flags.seed, rounds: flags.rounds ?? form.rounds, trials: flags.trials ?? form.trials };
  const numbers = { seed: settings.seed, rounds: settings.rounds, trials: settings.trials, seeds: flags.seeds };
  for (const [name, value] of Object.entries(numbers)) {
    const least = name === 'seed' ? 0 : 1;
    if (!Number.isInteger(value) || value < least) throw new InvalidArgumentError(`--${name} is ${value}; it must be a whole number from ${least} on`);
  }
  const out = resolve(flags.out ?? join('outputs', `demo_${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}`));
  makeWritable(out);
  const progress = createProgress(process.stderr);
  try {
    const started = performance.now();
    progress.print(`outputs: ${out}`);
    const [results, places] =
      flags.seeds === 1 ? reportOf(await runDemo(settings, out, progress, signal), out) : [seedsTable(await runDemoOverSeeds(settings, flags.seeds, out, progress, signal)), ''];
    progress.finish();
    process.stdout.write(`\n${results}\n\n`);
    process.stdout.write(`it took ${((performance.now() - started) / 60_000).toFixed(1)} minutes\n`);
    process.stdout.write(`chart        ${demoPaths(out).chart}\nnumbers      ${demoPaths(out).results}\n${places}`);
  } finally {
    progress.finish();
  }
}

/** The table of one demo, and where its clips and its policy are. */
function reportOf(outcome: DemoOutcome, out: string): [table: string, places: string] {
  return [demoTable(outcome), `clips        ${join(out, 'clips')}\ncheckpoint   ${outcome.results[0]!.checkpoint ?? ''}\n`];
}

/** Rows for people: every way to get a policy, by what each home does and in all. */
export function demoTable({ results, settings }: Pick<DemoOutcome, 'results' | 'settings'>): string {
  const homes = homesOf(settings);
  const all = isOneTask(settings.tasks) ? 'all places (95 %)' : 'all tasks (95 %)';
  return table(
    [{ header: 'trained' }, { header: all, align: 'right' }, ...homes.map(({ name }) => ({ header: name, align: 'right' as const }))],
    results.map((result) => [
      result.name,
      formatRate(result),
      ...homes.map(({ task, place }) => {
        const found = result.places.find((summary) => summary.place === place && summary.world === `demo:${task}`);
        return found === undefined ? '' : `${found.successes} of ${found.trials}`;
      }),
    ]),
  );
}
