import { availableParallelism } from 'node:os';
import { writeFile } from 'node:fs/promises';
import type { Progress } from '@zk0/cli';
import type { PlaceSummary, RolloutReport, SuccessRate } from '@zk0/rollout';
import { RunPaths } from '../outputs/index.ts';
import type { Baselines } from '../rollout/try-policy.ts';
import { demoPaths, federatedArguments, homesOf, isOneTask, questionOf, rolloutArguments, soloArguments, soloPolicies, type DemoPolicy, type DemoSettings } from './plan.ts';
import { runProgram } from '../run-program.ts';
import { JobPool, type Job } from './job-pool.ts';
import { renderSuccessChart, type SuccessBar } from './success-chart.ts';

/** How often a way to get a policy does the task. */
export interface DemoResult extends SuccessRate {
  readonly name: string;
  readonly places: readonly PlaceSummary[];
  readonly checkpoint: string | null;
}

export interface DemoOutcome {
  readonly settings: DemoSettings;
  /** `together` first, then everything in one place, the homes alone, and the baselines. */
  readonly results: readonly DemoResult[];
  readonly seconds: Readonly<Record<string, number>>;
}

type Reported = RolloutReport & { readonly baselines: Baselines | null };

const TOGETHER = 'together';
/** How a simulation says where its page is. */
const PAGE_LINE = 'watch it in a browser';
/** How it says that a round is done. By then the homes' frames are encoded, which other trainings on this machine share. */
const ROUND_LINE = /^round \d+\/\d+ ·/;
/** What trains beside the homes gets what these leave of the processor. */
const NICENESS = 10;

/**
 * Trains a policy in three homes together, in each alone, and with everything in one place; then tries them all in the
 * same situations. The trainings without a server begin while the homes train together, with what these leave of the processor. Everything runs through the programs that a real federation runs.
 *
 * @throws Zk0Error `PROGRAM_FAILED`; CancelledError
 */
export async function runDemo(settings: DemoSettings, out: string, progress: Progress, signal: AbortSignal): Promise<DemoOutcome> {
  const paths = demoPaths(out);
  const homes = homesOf(settings);
  const seconds: Record<string, number> = {};
  const timed = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const started = performance.now();
    const result = await work();
    seconds[name] = (performance.now() - started) / 1000;
    return result;
  };

  const steps = settings.rounds * settings.localSteps;
  const what = isOneTask(settings.tasks) ? `one task: "${settings.tasks[0]!.task}"; each home has` : `each with a task, a thing and a scene of its own, and`;
  progress.print(`${homes.length} homes, ${what} ${settings.episodes} demonstrations with the thing at its own place`);
  progress.print(`together: ${settings.rounds} rounds of ${settings.localSteps} steps in each home, through a server and three clients`);

  const failure = new AbortController();
  const either = AbortSignal.any([signal, failure.signal]);
  const results = new Map<string, Reported>();
  const checkpoints = new Map<string, string>();
  const tryOut = async (name: string, slug: string): Promise<undefined> => {
    const log = paths.log(`try_${slug}`);
    const args = rolloutArguments(settings, checkpoints.get(name)!, paths.clips(slug), name === TOGETHER);
    const said = await timed(`trying ${name}`, () => runProgram({ which: 'server', args, log, signal: either }));
    results.set(name, JSON.parse(said) as Reported);
    progress.print(`${name}: ${percent(results.get(name)!.rate)} of ${settings.trials} trials`);
  };
  const train = async (policy: DemoPolicy): Promise<Job> => {
    const directory = paths.solo(policy.slug);
    const isFirst = checkpoints.has(TOGETHER);
    if (isFirst) progress.update({ label: `training ${policy.name}` });
    const [args, log] = [soloArguments(settings, policy, directory), paths.log(policy.slug)];
    await timed(policy.name, () => runProgram({ which: 'client', args, log, signal: either, niceness: isFirst ? 0 : NICENESS }));
    checkpoints.set(policy.name, `${directory}/checkpoint`);
    return () => tryOut(policy.name, policy.slug);
  };
  const trainTogether = async (onRound: () => void): Promise<void> => {
    const onLine = (line: string): void => {
      if (line.startsWith(PAGE_LINE)) progress.print(line);
      else progress.update({ label: `together: ${line.trim()}` });
      if (ROUND_LINE.test(line)) onRound();
    };
    const args = federatedArguments(settings, homes, paths.federated);
    await timed(TOGETHER, () => runProgram({ which: 'server', args, log: paths.log(TOGETHER), signal: either, onLine }));
    progress.print(`together: ${steps} steps in each home took ${seconds[TOGETHER]!.toFixed(0)} s`);
    checkpoints.set(TOGETHER, new RunPaths(paths.federated).checkpoint(settings.rounds));
  };

  const pool = new JobPool(soloPolicies(homes).toReversed().map((policy) => () => train(policy)), () => {
    failure.abort();
  });
  const cores = availableParallelism();
  let early = 0;
  try {
    await trainTogether(() => {
      if (early > 0) return;
      early = Math.max(1, cores - homes.length);
      pool.start(early);
    });
    pool.addFirst(() => tryOut(TOGETHER, TOGETHER));
    pool.start(Math.max(1, cores - early));
  } catch (error) {
    const isOfPool = failure.signal.aborted;
    failure.abort();
    // What is running ends; if it is not why the homes had to stop, it is not what went wrong.
    await pool.ended().catch((first: unknown) => {
      if (isOfPool) throw first;
    });
    throw error;
  }
  await pool.ended();

  const outcome: DemoOutcome = { settings, results: ordered(results, checkpoints, homes.map(({ name }) => name)), seconds };
  await writeFile(paths.results, `${JSON.stringify(outcome, null, 2)}\n`);
  const where = isOneTask(settings.tasks) ? 'at all places' : 'of all tasks';
  const subtitle = `${settings.trials} trials ${where}, with 95 % intervals`;
  await writeFile(paths.chart, await renderSuccessChart(questionOf(settings.tasks), subtitle, bars(outcome.results)));
  return outcome;
}

function ordered(results: ReadonlyMap<string, Reported>, checkpoints: ReadonlyMap<string, string>, homes: readonly string[]): DemoResult[] {
  const names = [TOGETHER, 'all data in one place', ...homes.map((home) => `alone: ${home}`)];
  const learnt = names.map((name) => resultOf(name, results.get(name)!, checkpoints.get(name)!));
  const baselines = results.get(TOGETHER)!.baselines!;
  return [...learnt, resultOf('blind replay', baselines.replay, null), resultOf('does nothing', baselines.motionless, null)];
}

function resultOf(name: string, report: RolloutReport, checkpoint: string | null): DemoResult {
  const { successes, trials, rate, low, high, places } = report;
  return { name, successes, trials, rate, low, high, places, checkpoint };
}

function bars(results: readonly DemoResult[]): SuccessBar[] {
  return results.map((result) => ({ ...result, highlight: result.name === TOGETHER }));
}

function percent(rate: number): string {
  return `${(rate * 100).toFixed(0)} %`;
}
