import { resolve } from 'node:path';
import { createProgress, EXIT_CODE, parseRenames, parseWholeNumber, showPhases, table, withRenameOption, zk0Home } from '@zk0/cli';
import { InvalidArgumentError, type World } from '@zk0/core';
import { readAlignmentTarget } from '@zk0/dataset-so100';
import { describeDevice, openPolicy } from '@zk0/policy-smolvla';
import { formatRate, type RolloutReport, type TrialSummary } from '@zk0/rollout';
import { Command } from 'commander';
import '../demo-datasets.ts';
import { collect } from '../config.ts';
import { recordSuccess } from '../rollout/success-record.ts';
import { tryBaselines, tryPolicy, type Baselines } from '../rollout/try-policy.ts';
import { openWorlds } from '../rollout/worlds.ts';
import { makeWritable } from '../state-files.ts';
import type { Run } from './run-action.ts';

const DEFAULT_TRIALS = 100;
const MAX_TRIALS = 100_000;
const DEFAULT_CLIPS = 3;

interface RolloutFlags {
  readonly policy: string;
  readonly task: string[];
  readonly trials: number;
  readonly seed: number;
  readonly video?: string;
  readonly clips: number;
  readonly rename: string[];
  readonly device: string;
  readonly precision: string;
  readonly threads?: number;
  readonly baselines: boolean;
  readonly json?: boolean;
}

/** `zk0-server rollout`: whether a policy does the task, tried in a simulated world. */
export function rolloutCommand(run: Run): Command {
  const command = new Command('rollout')
    .description('Try a checkpoint in a simulated world: how often it does the task, and how it fails.')
    .requiredOption('--policy <path|name>', 'checkpoint directory, hf:owner/name, or preset')
    .option('--task <task>', "task to try, e.g. 'demo:cube-to-bowl?fps=5&place=each' or envhub:so101-tabletop-mujoco (repeatable)", collect, [])
    .option('--trials <n>', 'trials over all tasks and places', (text: string) => parseWholeNumber('--trials', text, 1, MAX_TRIALS), DEFAULT_TRIALS)
    .option('--seed <n>', 'fixes layouts and noise', (text: string) => parseWholeNumber('--seed', text, 0, Number.MAX_SAFE_INTEGER), 0)
    .option('--video <dir>', 'write MP4 clips of the first successes and failures there')
    .option('--clips <n>', 'successes, and failures, that --video films', (text: string) => parseWholeNumber('--clips', text, 1, MAX_TRIALS), DEFAULT_CLIPS)
    .option('--no-baselines', 'leave out the arm that does nothing and the blind replay')
    .option('--device <name>', 'execution provider: auto, cpu, cuda, webgpu, …', 'auto')
    .option('--precision <type>', 'matrix products in: auto, float32, float16, bfloat16', 'auto')
    .option('--threads <n>', 'CPU threads (default: all)', (text: string) => parseWholeNumber('--threads', text, 1, 1024))
    .option('--json', 'for scripts')
    .option('--verbose', 'error codes and stacks with errors');
  withRenameOption(command).action((flags: RolloutFlags) => {
    run((signal) => tryOut(flags, signal));
  });
  return command;
}

async function tryOut(flags: RolloutFlags, signal: AbortSignal): Promise<number | undefined> {
  const { trials, seed } = flags;
  if (flags.task.length === 0) throw new InvalidArgumentError('no task to try the policy at', { hint: 'Name one with --task, e.g. --task demo:cube-to-bowl.' });
  const names = new Map(Object.entries(parseRenames(flags.rename)));
  if (flags.video !== undefined) makeWritable(resolve(flags.video), '--video');
  const progress = createProgress(process.stderr);
  const worlds = await openWorlds(flags.task, trials);
  try {
    const onPhase = showPhases(progress, flags.policy);
    const { info } = worlds[0]!;
    const common = {
      device: flags.device,
      precision: flags.precision,
      cacheDirectory: zk0Home(),
      signal,
      ...(flags.threads === undefined ? {} : { threads: flags.threads }),
      onProgress: ({ phase, step, totalSteps }: { phase: string; step: number; totalSteps: number }) => {
        onPhase({ phase, done: step, total: totalSteps });
      },
    };
    const policy = await openPolicy(flags.policy, common);
    try {
      progress.print(describeDevice(policy));
      const { features } = policy;
      if (features === undefined) {
        throw new InvalidArgumentError(`${flags.policy} has not been trained for any robot`, { hint: 'Give a checkpoint that training has written.' });
      }
      const actor = await policy.actor();
      const how = {
        worlds,
        trials,
        seed,
        signal,
        onTrial: (done: number, successes: number) => {
          progress.update({ label: `${info.name}: ${successes} successes`, done, total: trials });
        },
      };
      const filmed = flags.video === undefined ? how : { ...how, video: { directory: resolve(flags.video), each: flags.clips } };
      const report = await tryPolicy(actor, features, names, await readAlignmentTarget(policy.directory), filmed);
      const baselines = flags.baselines && !signal.aborted ? await tryBaselines(how) : undefined;
      await actor.close();
      progress.finish();
      if (!signal.aborted) recordSuccess(flags.policy, flags.task, report);
      const notes = notesOf(worlds);
      if (flags.json === true) {
        process.stdout.write(`${JSON.stringify({ policy: flags.policy, tasks: flags.task, ...(notes.length === 0 ? {} : { notes }), ...report, baselines: baselines ?? null }, null, 2)}\n`);
      } else process.stdout.write([rolloutTable(report, baselines), ...notes, ''].join('\n'));
      if (flags.video !== undefined && flags.json !== true) process.stdout.write(`clips are in ${resolve(flags.video)}\n`);
      return signal.aborted ? EXIT_CODE.interrupted : undefined;
    } finally {
      await policy.close();
    }
  } finally {
    progress.finish();
    for (const world of worlds) world.close();
  }
}

/** What the worlds say of how far their numbers can be compared. */
function notesOf(worlds: readonly World[]): readonly string[] {
  return [...new Set(worlds.flatMap(({ info }) => info.notes ?? []))];
}

/** Rows for people: the policy as a whole, by task and place, and the baselines. */
export function rolloutTable(report: RolloutReport, baselines: Baselines | undefined): string {
  const hasScore = report.meanScore !== undefined;
  const row = (name: string, summary: TrialSummary): string[] => [
    name,
    `${summary.successes} of ${summary.trials}`,
    formatRate(summary),
    ...(hasScore ? [summary.meanScore?.toFixed(2) ?? '–'] : []),
    summary.secondsToSuccess === null ? '–' : `${summary.secondsToSuccess.toFixed(1)} s`,
    Object.entries(summary.failures).map(([kind, count]) => `${kind} ${count}`).join(', ') || '–',
    `${(summary.clampedShare * 100).toFixed(0)} %`,
  ];
  const rows = [
    ...(report.places.length > 1 ? report.places.map((place) => row(`${place.world}${place.place === null ? '' : ` ${place.place}`}`, place)) : []),
    row('policy', report),
    ...(baselines === undefined ? [] : [row('does nothing', baselines.motionless), row('blind replay', baselines.replay)]),
  ];
  const stopped = report.trials < report.requested ? `\nstopped after ${report.trials} of ${report.requested} trials` : '';
  return (
    table([{ header: 'tried' }, { header: 'successes', align: 'right' }, { header: 'rate (95 %)', align: 'right' }, ...(hasScore ? [{ header: 'score', align: 'right' as const }] : []), { header: 'took', align: 'right' }, { header: 'failures' }, { header: 'clamped', align: 'right' }], rows) +
    stopped
  );
}
