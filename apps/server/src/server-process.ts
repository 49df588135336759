import { join } from 'node:path';
import { errorMessage } from '@zk0/core';
import { createDashboard } from '@zk0/dashboard';
import { closeAll, Coordinator, Ledger, PartWorker, systemClock, type LedgerEntry } from '@zk0/federation';
import type { RootLogger } from '@zk0/logger';
import { createTransportServer, isLoopback, openNodeRegistry, openOperatorToken, openSharedRegistry, type TransportServerOptions } from '@zk0/transport';
import { processFigures, prometheusText } from './metrics/prometheus.ts';
import { SmolVlaModel, type SmolVlaModelOptions } from './model/smolvla-model.ts';
import { logSource } from './outputs/log-file.ts';
import { runFiles, RunPaths, type SuccessRecord } from './outputs/index.ts';
import { inOrder } from './observers.ts';
import { pushWhenFinished } from './push/push-observer.ts';
import { RunRollouts } from './rollout/run-rollouts.ts';
import { clipOf } from './rollout/filmed-trials.ts';
import { successesOf } from './rollout/success-record.ts';
import { trackRun } from './tracking/track-run.ts';
import type { TrackerPool } from './tracking/tracker-pool.ts';
import type { Role } from './role.ts';
import { openServerState, type ServerStateOptions } from './state/open-state.ts';
import { makeWritable, stateFiles } from './state-files.ts';
import { versions } from './versions.ts';

/** What a server is started with. */
export interface ServerOptions
  extends Pick<TransportServerOptions, 'host' | 'port' | 'tls' | 'allowInsecure' | 'operatorToken'>,
    Pick<ServerStateOptions, 'backend' | 'blobs' | 'maxDiskBytes'>,
    Pick<SmolVlaModelOptions, 'device' | 'precision' | 'threads' | 'cacheDirectory' | 'folders'> {
  /** Ledger, blobs and scratch files: what a restart goes on with. */
  readonly stateDirectory: string;
  /** What this process does where several share the state: everything when absent. */
  readonly role?: Role;
  /** Parts that aggregations are cut into for the processes that share the state (1: none). */
  readonly shards?: number;
  /** Passes that read fewer bytes are not shared (0). */
  readonly shardBytes?: number;
  /** Let in enrolled nodes only (see `zk0-server token`). */
  readonly enrolment?: boolean;
  /** Where a run's outputs go. */
  readonly runDirectory: (runId: string) => string;
  /** Opens the log of a run. */
  readonly openRunLog: (runId: string) => RootLogger;
  /** Folder of the server's own log. */
  readonly logDirectory: string;
  readonly log: RootLogger;
  /** What else belongs into the `config.json` of runs: how a simulation was started. Plain JSON. */
  readonly record?: Readonly<Record<string, unknown>>;
  /** Called after each trial of a policy in a simulated world. */
  readonly onSuccess?: (record: SuccessRecord) => void;
  /** Gets the figures of runs; whoever made it closes it. */
  readonly trackers?: TrackerPool;
}

/** A server that listens and drives runs. */
export interface RunningServer {
  readonly url: string;
  readonly enrolment: boolean;
  /** Where the operators' token is, if one is needed and none was given. */
  readonly operatorTokenFile: string | undefined;
  readonly coordinator: Coordinator;
  /** Resolves when the server has stopped; rejects when driving runs failed in a way that no run can explain. */
  readonly done: Promise<void>;
  /** Stops listening, leaves an unfinished run in the ledger, and releases everything. */
  close(): Promise<void>;
}

/**
 * Starts a server.
 *
 * @throws Zk0Error when the directory cannot be written, another server works in it, or the port is taken; nothing stays open then.
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { stateDirectory, runDirectory, openRunLog, log } = options;
  makeWritable(stateDirectory);
  const files = stateFiles(stateDirectory);
  const { enrolment = false, role = 'all', shards = 1 } = options;
  const state = await openServerState(options);
  const closers: (() => Promise<void> | void)[] = [() => state.close()];
  const close = (): Promise<void> => closeAll(log, closers.splice(0).reverse());
  try {
    const { blobs } = state;
    // A server whose blobs are its own takes nothing in for others, who could not read it.
    const parts = options.blobs === undefined ? undefined : state.parts;
    const registry = !enrolment ? undefined : state.nodes === undefined ? openNodeRegistry(files.nodes) : await openSharedRegistry(state.nodes);
    if (registry !== undefined) closers.push(() => registry.close());
    const isOpen = registry === undefined && options.tls?.clientCa === undefined && (isLoopback(options.host) || options.allowInsecure === true);
    const operatorTokenFile = isOpen || options.operatorToken !== undefined ? undefined : files.operatorToken;
    const operatorToken = operatorTokenFile === undefined ? options.operatorToken : await openOperatorToken(operatorTokenFile);
    const ledger = await Ledger.open(state.ledger);
    const stop = new AbortController();
    const runLogs = new Map<string, RootLogger>();
    const coordinator = new Coordinator({
      ledger,
      leases: state.leases,
      ...(state.queue !== undefined && { queue: state.queue }),
      ...(state.clients !== undefined && { clients: state.clients }),
      blobs,
      model: new SmolVlaModel({ ...options, directory: runDirectory }),
      scratchDirectory: join(stateDirectory, 'scratch'),
      log,
      holder: state.holder,
      ...(parts !== undefined && { shared: { store: state.ledger, drives: role !== 'front' } }),
      ...(parts !== undefined && shards > 1 && { parts: { queue: parts, holder: state.holder, clock: systemClock, maxParts: shards, minBytes: options.shardBytes ?? 0 } }),
      onClientLine: ({ clientId, time, level, message, round }, runId) => {
        const place = (runId === null ? undefined : runLogs.get(runId)) ?? log;
        place.relay({ time, level, process: clientId.startsWith('client') ? clientId : `client_${clientId}`, message, ...(round !== undefined && { fields: { round } }) });
      },
      openRun: ({ state: { runId } }) => {
        const runLog = openRunLog(runId);
        runLogs.set(runId, runLog);
        runLog.observe(page.line);
        const directory = runDirectory(runId);
        const entries = (id: string): Promise<readonly LedgerEntry[]> => ledger.entries(id);
        const { trackers } = options;
        let rollouts: RunRollouts | undefined;
        const files = runFiles(directory, {
          entries,
          ...(options.record !== undefined && { record: options.record }),
          onSuccesses: () => {
            try {
              tracking?.tried();
            } catch (error) {
              runLog.warn(`trackers: ${errorMessage(error)}; they are given it with what comes next`);
            }
          },
          trials: (settings, onResult) =>
            (rollouts = new RunRollouts({
              settings,
              device: options.device,
              clipsOf: (checkpoint) => new RunPaths(directory).clips(checkpoint),
              logDirectory: new RunPaths(directory).rolloutLogs,
              signal: stop.signal,
              log: runLog,
              onResult: async (success, checkpoint) => {
                options.onSuccess?.(success);
                await onResult(success, checkpoint);
              },
            })),
        });
        const push = pushWhenFinished(runLog, { after: async () => rollouts?.idle() });
        const tracking = trackers === undefined ? undefined : trackRun({ entries, trackers: () => trackers.of(directory), successes: () => files.successes });
        return { log: runLog, observers: [inOrder(files, push), ...(tracking === undefined ? [] : [tracking])], close: async () => { runLogs.delete(runId); await runLog.close(); } };
      },
    });
    const page = createDashboard({ ledger, coordinator, version: versions().zk0, log, successes: (runId) => Promise.resolve(successesOf(runDirectory(runId))), clip: (runId, checkpoint, file) => Promise.resolve(clipOf(runDirectory(runId), checkpoint, file)), ...(registry !== undefined && { nodes: registry }) });
    closers.push(() => { page.close(); }, () => { coordinator.close(); }, log.observe(page.line));
    const transport = await createTransportServer({
      ...options,
      blobs,
      service: coordinator,
      page,
      monitoring: { version: versions().zk0, metrics: async () => prometheusText(await coordinator.overview(), processFigures(versions().zk0)) },
      logs: logSource((runId) => (runId === undefined ? options.logDirectory : runDirectory(runId))),
      ...(registry !== undefined && { registry }),
      ...(state.nonces !== undefined && { sharedNonces: state.nonces }),
      ...(operatorToken !== undefined && { operatorToken }),
    });
    log.info(`listening on ${transport.url}`);
    const done = coordinator.run(stop.signal);
    done.catch((error: unknown) => {
      log.error(`the server cannot go on: ${errorMessage(error)}`, { error });
    });
    if (parts !== undefined && role !== 'front' && shards > 1) {
      const worker = new PartWorker({ queue: parts, holder: `${state.holder}/parts`, ledger, blobs, scratchDirectory: join(stateDirectory, 'scratch'), clock: systemClock, log });
      const working = worker.run(stop.signal).catch((error: unknown) => { log.error(`no parts of aggregations are computed here any more: ${errorMessage(error)}`, { error }); });
      closers.push(() => working);
    }
    closers.push(() => transport.close(), () => done.catch(() => undefined), () => { stop.abort(); });
    return { url: transport.url, enrolment, operatorTokenFile, coordinator, done, close };
  } catch (error) {
    await close();
    throw error;
  }
}
