import { join, resolve } from 'node:path';
import { createProgress, table } from '@zk0/cli';
import { InvalidArgumentError } from '@zk0/core';
import { formatRate } from '@zk0/rollout';
import { Command } from 'commander';
import { demoPaths, FULL, homesOf, isOneTask, MIXED_TASKS, QUICK, type DemoSettings } from '../demo/plan.ts';
import { runDemo, type DemoOutcome } from '../demo/run-demo.ts';
import { makeWritable } from '../state-files.ts';
import type { Run } from './run-action.ts';

interface DemoFlags {
  readonly full?: boolean;
  readonly mixed?: boolean;
  readonly seed: number;
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
  for (const name of ['seed', 'rounds', 'trials'] as const) {
    if (!Number.isInteger(settings[name]) || settings[name] < (name === 'seed' ? 0 : 1)) {
      throw new InvalidArgumentError(`--${name} is ${settings[name]}; it must be a whole number above 0`);
    }
  }
  const out = resolve(flags.out ?? join('outputs', `demo_${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}`));
  makeWritable(out);
  const progress = createProgress(process.stderr);
  try {
    const started = performance.now();
    progress.print(`outputs: ${out}`);
    const outcome = await runDemo(settings, out, progress, signal);
    progress.finish();
    process.stdout.write(`\n${demoTable(outcome)}\n\n`);
    process.stdout.write(`it took ${((performance.now() - started) / 60_000).toFixed(1)} minutes\n`);
    process.stdout.write(`chart        ${demoPaths(out).chart}\nclips        ${join(out, 'clips')}\nnumbers      ${demoPaths(out).results}\n`);
    process.stdout.write(`checkpoint   ${outcome.results[0]!.checkpoint ?? ''}\n`);
  } finally {
    progress.finish();
  }
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
