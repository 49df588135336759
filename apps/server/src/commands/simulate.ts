import { existsSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { createProgress, EXIT_CODE, loadConfig, programName, stopWithParent, zk0Home, type Progress } from '@zk0/cli';
import { InvalidArgumentError, Zk0Error, type RunConfig } from '@zk0/core';
import { assertNoOverlap, checkRenames, listEpisodes } from '@zk0/dataset-so100';
import { demoTasks } from '@zk0/demo-so100';
import { checkRun } from '@zk0/federation';
import { createLogger } from '@zk0/logger';
import { formatRate } from '@zk0/rollout';
import { createStrategy } from '@zk0/strategy';
import { parseTracker, type TrackerAddress } from '@zk0/trackers';
import { Command } from 'commander';
import '../demo-datasets.ts';
import { collect, runConfigOf, runFlags, trackFlag, withConfigOptions, withRunOptions, withTrackOption } from '../config.ts';
import { RunPaths } from '../outputs/index.ts';
import { RunReporter } from '../reporting/run-reporter.ts';
import { startServer, type RunningServer } from '../server-process.ts';
import { makeWritable } from '../state-files.ts';
import { checkTasks } from '../rollout/worlds.ts';
import { startClientProcess, type ClientProcess } from '../simulate/client-processes.ts';
import { parseSplit, planSimulation, type DatasetCatalogue, type SimulationPlan } from '../simulate/plan.ts';
import { preflight } from '../simulate/preflight.ts';
import { simulationCost } from '../simulate/training-cost.ts';
import { checkedSimulation, DEFAULT_CLIENTS, DEFAULT_HOLD_OUT_EPISODES, MAX_CLIENTS, simulationSchemaOn } from '../simulate/settings.ts';
import { CLOSE_TRACKERS_MS, TrackerPool } from '../tracking/tracker-pool.ts';
import type { Run } from './run-action.ts';

/** Rounds of a simulation that does not say. */
const DEFAULT_ROUNDS = 5;

/** `zk0-server simulate`: the real server and real clients, as processes on this machine. */
export function simulateCommand(run: Run): Command {
  const command = new Command('simulate')
    .description('Run a whole federation on this machine: the real server and real clients, as processes on loopback.')
    .option('--clients <n>', `clients (default: ${DEFAULT_CLIENTS})`, Number, DEFAULT_CLIENTS)
    .option('--dataset <uri>', 'one dataset to split, or one per client (repeatable; default: demo data)', collect, [])
    .option('--hold-out <n>', 'episodes at the end of each dataset to evaluate on', Number, DEFAULT_HOLD_OUT_EPISODES)
    .option('--split <how>', 'how one dataset is divided: modulo, task, size=3,2,1 or dirichlet=0.5 (default: modulo)')
    .option('--max-parallel <n>', 'clients that train at the same time (default: all on the CPU, 1 on a GPU)', Number)
    .option('--device <name>', 'execution provider of clients and server', 'cpu')
    .option('--precision <type>', 'matrix products in: auto, float32, float16, bfloat16', 'auto')
    .option('--threads <n>', 'CPU threads per client (default: cores shared among them)', Number)
    .option('--cache <mode>', 'frozen work kept on disk: auto, prefix, vision or off', 'auto')
    .option('--out <dir>', 'outputs directory (default: outputs/<timestamp>)')
    .option('--virtual', 'virtual clients in virtual time: the real engine, and a small problem whose loss is known')
    .option('--compare <file>', 'with --virtual: another settings file to simulate, and compare with the first (repeatable)', collect, []);
  withTrackOption(withConfigOptions(withRunOptions(command))).action((options: SimulateOptions) => {
    run(async (signal) => {
      if (options.virtual !== true) return simulate(options, stopWithParent(signal));
      const { simulateVirtual } = await import('./simulate-virtual.ts');
      return simulateVirtual({ ...options, out: outputsOf(options) }, signal);
    });
  });
  return command;
}

interface SimulateOptions extends Readonly<Record<string, unknown>> {
  readonly clients: number;
  readonly dataset: string[];
  readonly holdOut: number;
  readonly split?: string;
  readonly device: string;
  readonly precision: string;
  readonly threads?: number;
  readonly cache: string;
  readonly out?: string;
  readonly config?: string;
  readonly set: string[];
  readonly virtual?: boolean;
  readonly compare: string[];
  readonly verbose?: boolean;
}

async function simulate(options: SimulateOptions, signal: AbortSignal): Promise<number | undefined> {
  const { clients } = options;
  if (options.compare.length > 0) throw new InvalidArgumentError('--compare compares simulations of virtual clients', { hint: 'Give --virtual, too; zk0-server sweep compares runs of real ones.' });
  if (!Number.isInteger(clients) || clients < 1 || clients > MAX_CLIENTS) {
    throw new InvalidArgumentError(`--clients must be a whole number from 1 to ${MAX_CLIENTS}`, { hint: 'For example --clients 3.' });
  }
  const given = runFlags(options);
  const rounds = given['rounds'] ?? (options.config === undefined ? DEFAULT_ROUNDS : undefined);
  const settings = checkedSimulation(clients, await loadConfig(simulationSchemaOn(options.device), {
    file: options.config,
    flags: { ...given, rounds, server: { track: trackFlag(options) } },
    set: options.set,
  }));
  if (settings.rollouts !== undefined) await checkTasks(settings.rollouts.tasks);
  const track = settings.server.track.map((text) => parseTracker(text));
  const recordings = await preflight({ ...options, ...settings, datasets: [...options.dataset, ...settings.heldOut] }, signal);
  const plan = await planSimulation(
    {
      clients,
      datasets: options.dataset,
      heldOut: settings.heldOut,
      holdOutEpisodes: options.holdOut,
      ...(options.split === undefined ? {} : { split: parseSplit(options.split, settings.seed) }),
      seed: settings.seed,
    },
    catalogue,
  );
  // By content: a recording may be in two datasets, or twice in one. Demo ones are made apart by task and seed.
  await assertNoOverlap([...plan.clients, ...plan.heldOut].filter((uri) => !uri.startsWith('demo:')), { cacheDirectory: zk0Home(), signal });
  const { rename = {}, ...others } = settings;
  // Held out are the last episodes of the clients' datasets, where none are named.
  const heldOutOf = settings.heldOut.length > 0 || options.dataset.length === 0 ? plan.heldOut : options.dataset;
  const clientsOf = plan.clients.map((uri, index) => options.dataset[index] ?? options.dataset[0] ?? uri);
  checkRenames(rename, [...heldOutOf, ...clientsOf].map((uri) => recordings.of(uri)));
  const heldOutRename = plan.heldOut.length > 0 ? recordings.renamesOf(rename, heldOutOf) : {};
  const config = runConfigOf({ ...others, ...(Object.keys(heldOutRename).length > 0 && { rename: heldOutRename }) }, plan.heldOut);
  checkRun(config);
  const clientRenames = clientsOf.map((uri) => recordings.renamesOf(rename, [uri]));
  const out = outputsOf(options);
  refuseUsed(out);
  makeWritable(out);
  const cost = await simulationCost({ config, clients, datasets: [...new Set([...heldOutOf, ...clientsOf])] }, recordings, availableParallelism());
  if (cost !== null) process.stderr.write(`${cost}\n`);
  return runSimulation({ ...options, out, plan, config, clientRenames, track }, signal);
}

function outputsOf({ out }: Pick<SimulateOptions, 'out'>): string {
  return resolve(out ?? join('outputs', timestamp(new Date())));
}

/** A folder that holds a run keeps it: its record would otherwise be of two. */
function refuseUsed(out: string): void {
  const { config } = new RunPaths(out);
  if (!existsSync(config)) return;
  const { run_id: runId } = JSON.parse(readFileSync(config, 'utf8')) as { run_id?: string };
  throw new Zk0Error('OUTPUT_IN_USE', `${out} holds run ${runId ?? 'of another time'} already`, { hint: 'Choose another folder with --out.' });
}

interface Simulation extends Pick<SimulateOptions, 'device' | 'precision' | 'threads' | 'cache' | 'verbose'> {
  readonly out: string;
  readonly plan: SimulationPlan;
  readonly config: RunConfig;
  readonly track: readonly TrackerAddress[];
  /** Of each client. */
  readonly clientRenames: readonly Readonly<Record<string, string>>[];
}

async function runSimulation(simulation: Simulation, signal: AbortSignal): Promise<number | undefined> {
  const { out, plan, config, device } = simulation;
  const paths = new RunPaths(out);
  const progress = createProgress(process.stderr);
  const level = simulation.verbose === true ? 'debug' : 'info';
  const openLog = (): ReturnType<typeof createLogger> =>
    createLogger({
      process: 'server',
      level,
      console: simulation.verbose === true ? progress.console : false,
      files: [paths.simulationLog, paths.serverLog],
    });
  const log = openLog();
  const trackers = new TrackerPool(simulation.track, log);
  const threads = simulation.threads ?? Math.max(1, Math.floor(availableParallelism() / (config.maxParallel || plan.clients.length)));
  const reporter = new RunReporter(progress);
  let server: RunningServer | undefined;
  const clients: ClientProcess[] = [];
  try {
    server = await startServer({
      host: '127.0.0.1',
      port: 0,
      stateDirectory: join(out, '.server'),
      runDirectory: () => out,
      logDirectory: out,
      openRunLog: openLog,
      cacheDirectory: zk0Home(),
      device,
      precision: simulation.precision,
      record: {
        clients: plan.clients.map((dataset, index) => ({ client_id: String(index), dataset, rename: { ...simulation.clientRenames[index] } })),
        device,
        precision: simulation.precision,
        threads_per_client: threads,
        cache: simulation.cache,
      },
      onSuccess: (record) => { reporter.tried(record); },
      trackers,
      log,
    });
    progress.print(`${plan.clients.length} ${plan.clients.length === 1 ? 'client' : 'clients'} and a server on this machine, ${config.rounds} ${config.rounds === 1 ? 'round' : 'rounds'} of policy ${config.policy}`);
    progress.print(`outputs: ${out}`);
    progress.print(`watch it in a browser: ${server.url}`);
    const events = server.coordinator.follow(undefined, signal);
    let next = events.next();
    for (const [index, dataset] of plan.clients.entries()) {
      const id = String(index);
      progress.print(`client ${id}: ${dataset}`);
      clients.push(startClientProcess(id, clientArguments(simulation, server.url, index, dataset, threads, paths)));
    }
    for (const uri of plan.heldOut) progress.print(`held out: ${uri}`);
    progress.update({ label: 'clients are getting ready' });
    const died = Promise.race(
      clients.map(async ({ clientId, exited }) => {
        throw clientDied(clientId, await exited, paths);
      }),
    );
    const ended = server.done.then(() => null);
    // Were some clients still on their way, whom the first round asks would depend on which of them is fastest.
    await Promise.race([server.coordinator.joined(plan.clients.length, signal), died, ended]);
    const runId = signal.aborted ? undefined : await server.coordinator.submit(config);
    if (runId !== undefined) reporter.take({ kind: 'run', runId, at: new Date().toISOString(), event: { type: 'run-created', runId, config } });
    while (reporter.ending === undefined && runId !== undefined) {
      const item = await Promise.race([next, died, ended]);
      if (item === null || item.done === true) break;
      reporter.take(item.value);
      next = events.next();
    }
    if (signal.aborted) {
      if (runId !== undefined) await stopRun(server, runId);
      progress.finish();
      process.stdout.write(`\nstopped; finished rounds are in ${out}\n`);
      return EXIT_CODE.interrupted;
    }
    if (config.rollouts !== undefined && reporter.ending !== undefined) await lastTrials(server, progress, signal);
    progress.finish();
    report(reporter, simulation, paths);
    return undefined;
  } finally {
    progress.finish();
    await Promise.all(clients.map((client) => client.stop()));
    await server?.close();
    for (const { address, lines } of await trackers.close(CLOSE_TRACKERS_MS)) {
      process.stderr.write(`${lines} lines are kept for ${address.text}; send them with: ${programName('zk0-server')} track ${quoted(out)}\n`);
    }
    await log.close();
    // The folder takes no second run: what only a run that goes on needs is not kept.
    for (const folder of [join(out, '.server'), ...plan.clients.map((_, index) => join(paths.client(String(index)), '.state'))]) {
      for (const part of ['blobs', 'scratch', 'residual']) rmSync(join(folder, part), { recursive: true, force: true });
    }
  }
}

function clientArguments(
  simulation: Simulation,
  url: string,
  index: number,
  dataset: string,
  threads: number,
  paths: RunPaths,
): string[] {
  const id = String(index);
  const { units } = simulation.config;
  return [
    ...['--server', url, '--id', id, '--dataset', dataset, '--device', simulation.device, '--precision', simulation.precision, '--threads', String(threads)],
    ...['--cache', simulation.cache, '--log-file', paths.clientLog(id), '--log-file', paths.simulationLog],
    ...['--state', join(paths.client(id), '.state')],
    // A policy of this machine's files: a server names none to its clients.
    ...(/[/\\.]/.test(simulation.config.policy) && !simulation.config.policy.startsWith('hf:') ? ['--policy', simulation.config.policy] : []),
    ...(createStrategy(simulation.config.strategy).isPrivate ? ['--private'] : []),
    ...Object.entries(simulation.clientRenames[index]!).flatMap(([from, to]) => ['--rename', `${from}=${to}`]),
    ...(units === undefined ? [] : ['--units', units]),
    ...(simulation.verbose === true ? ['--verbose'] : []),
  ];
}

/** The newest policy may still be under trial; Ctrl-C leaves that out. */
async function lastTrials(server: RunningServer, progress: Progress, signal: AbortSignal): Promise<void> {
  progress.update({ label: 'trying the newest policy' });
  const stopped = new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => { resolve(); }, { once: true });
  });
  await Promise.race([server.coordinator.idle(), stopped]);
}

/** Ends the run for good, as an operator's stop would: the newest finished round gets its checkpoint. */
async function stopRun(server: RunningServer, runId: string): Promise<void> {
  const stopped = server.coordinator.idle();
  await server.coordinator.stop('stopped by Ctrl-C', runId);
  await stopped;
}

function report(reporter: RunReporter, { out, config }: Simulation, paths: RunPaths): void {
  process.stdout.write(`\n${reporter.table()}\n\n`);
  const { ending, losses, checkpoint, best } = reporter;
  if (ending?.phase !== 'finished') {
    throw new Zk0Error('RUN_ENDED', `the run ${ending?.phase ?? 'broke off'}: ${ending?.message ?? 'the server went away'}`, {
      hint: `Read ${paths.simulationLog}.`,
    });
  }
  if (losses !== null) {
    const change = (losses.last / losses.first - 1) * 100;
    const words = `${Math.abs(change).toFixed(0)} % ${change <= 0 ? 'lower' : 'higher'}`;
    process.stdout.write(`held-out loss ${losses.first.toFixed(4)} → ${losses.last.toFixed(4)} (${words})\n`);
  }
  const lines = [`outputs      ${out}`, `chart        ${paths.lossChart}`];
  if (checkpoint !== undefined) {
    lines.push(
      `checkpoint   ${checkpoint}`,
      `evaluate it  ${programName('zk0-server')} evaluate --policy ${quoted(checkpoint)} --dataset ${quoted(config.heldOut[0] ?? 'URI')}`,
    );
  }
  const success = reporter.successes.at(-1);
  if (success !== undefined) lines.push(`success      ${formatRate(success)} of ${success.trials} trials in round ${success.round}, chart ${paths.successChart}`);
  if (best !== null && config.keepBest && existsSync(paths.bestCheckpoint)) {
    lines.push(`best so far  ${paths.bestCheckpoint} (round ${best.round}, held-out loss ${best.loss.toFixed(4)})`);
  }
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** As a shell takes it: plain where nothing in it means anything to one. */
function quoted(text: string): string {
  return /^[\w./:@%+,=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

function clientDied(id: string, exit: { readonly code: number | null; readonly lastLine: string }, paths: RunPaths): Zk0Error {
  const said = exit.lastLine.replace(/^error: /, '');
  return new Zk0Error('CLIENT_DIED', `client ${id} ended (exit ${exit.code ?? 'unknown'}): ${said || 'it said nothing'}`, {
    hint: `Its log is ${paths.clientLog(id)}.`,
  });
}

function timestamp(date: Date): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day}_${two(date.getHours())}-${two(date.getMinutes())}-${two(date.getSeconds())}`;
}

const catalogue: DatasetCatalogue = {
  demoTasks: demoTasks.map(({ name }) => name),
  episodes: listEpisodes,
};

