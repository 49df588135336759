import { availableParallelism } from 'node:os';
import { writeFile } from 'node:fs/promises';
import type { Progress } from '@zk0/cli';
import type { PlaceSummary, RolloutReport, SuccessRate } from '@zk0/rollout';
import { RunPaths } from '../outputs/index.ts';
import type { Baselines } from '../rollout/try-policy.ts';
import { demoPaths, federatedArguments, homesOf, isOneTask, questionOf, rolloutArguments, soloArguments, soloPolicies, type DemoPolicy, type DemoSettings } from './plan.ts';
import { runProgram } from '../run-program.ts';
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

/**
 * Trains a policy in three homes together, in each alone, and with everything in one place; then tries them all in the
 * same situations. Everything runs through the programs that a real federation runs.
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
  await timed(TOGETHER, () =>
    runProgram({
      which: 'server',
      args: federatedArguments(settings, homes, paths.federated),
      log: paths.log(TOGETHER),
      signal,
      onLine: (line) => {
        if (line.startsWith(PAGE_LINE)) progress.print(line);
        else progress.update({ label: `together: ${line.trim()}` });
      },
    }),
  );
  progress.print(`together: ${steps} steps in each home took ${seconds[TOGETHER]!.toFixed(0)} s`);

  const results = new Map<string, Reported>();
  const checkpoints = new Map<string, string>([[TOGETHER, new RunPaths(paths.federated).checkpoint(settings.rounds)]]);
  const tryOut = async (name: string, slug: string): Promise<undefined> => {
    const log = paths.log(`try_${slug}`);
    const args = rolloutArguments(settings, checkpoints.get(name)!, paths.clips(slug), name === TOGETHER);
    const said = await timed(`trying ${name}`, () => runProgram({ which: 'server', args, log, signal }));
    results.set(name, JSON.parse(said) as Reported);
    progress.print(`${name}: ${percent(results.get(name)!.rate)} of ${settings.trials} trials`);
  };
  const train = async (policy: DemoPolicy): Promise<Job> => {
    const directory = paths.solo(policy.slug);
    progress.update({ label: `training ${policy.name}` });
    await timed(policy.name, () =>
      runProgram({ which: 'client', args: soloArguments(settings, policy, directory), log: paths.log(policy.slug), signal }),
    );
    checkpoints.set(policy.name, `${directory}/checkpoint`);
    return () => tryOut(policy.name, policy.slug);
  };
  const trainings = soloPolicies(homes).toReversed().map((policy): Job => () => train(policy));
  await inParallel([() => tryOut(TOGETHER, TOGETHER), ...trainings], availableParallelism());

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

/** Something to do, and what can be done after it. */
type Job = () => Promise<Job | undefined>;

/**
 * Runs jobs and what follows from them, so many at a time. What follows waits until all given jobs have begun: short jobs at the end
 * keep all workers busy. The first failure ends it once those running have ended.
 */
async function inParallel(jobs: readonly Job[], limit: number): Promise<void> {
  const queue = [...jobs];
  let failure: { readonly error: unknown } | undefined;
  const worker = async (): Promise<void> => {
    for (let job = queue.shift(); job !== undefined && failure === undefined; job = queue.shift()) {
      try {
        const next = await job();
        if (next !== undefined) queue.push(next);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, jobs.length) }, worker));
  if (failure !== undefined) throw failure.error;
}
