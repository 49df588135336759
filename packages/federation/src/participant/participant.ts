import {
  CancelledError,
  clientLoss,
  errorMessage,
  Heartbeat,
  Zk0Error,
  type HeartbeatMessage,
  type StepProgress,
  type Task,
  type TaskResult,
} from '@zk0/core';
import { isPassingStorageError, readParameters, type BlobStore } from '@zk0/storage';
import { privateReport } from '@zk0/strategy';
import { systemClock, type Clock } from '../clock.ts';
import { silentLog, type FederationLog } from '../log.ts';
import type { LocalModel } from '../model.ts';
import { checkTask, type ParticipantLimits } from './check-task.ts';
import type { FederationConnection } from './connection.ts';
import { ControlRound } from './control-round.ts';
import type { ControlStore } from './control-store.ts';
import { fetchParameters } from './fetch-parameters.ts';
import type { MemberTrust } from './known-members.ts';
import { OptimizerRound } from './optimizer-round.ts';
import type { OptimizerStore } from './optimizer-store.ts';
import { publicMessage } from './public-message.ts';
import { putUpdate } from './put-update.ts';
import type { Reporter } from './reporter.ts';
import type { ResidualStore } from './residual-store.ts';
import type { SecretStore } from './secret-store.ts';
import { SecureSteps } from './secure-steps.ts';

/** Between two progress reports while training, in ms; in other phases the heartbeat's own interval holds. */
const REPORT_INTERVAL_MS = 1000;
/** Between two attempts at a task that this machine's trouble (a full disk) prevents, in ms. */
const RETRY_MS = 5000;

/** What a participant is doing, for people. */
export type ParticipantStatus =
  | { readonly state: 'connecting' }
  | { readonly state: 'idle'; readonly notice?: string }
  | { readonly state: 'downloading' | 'uploading'; readonly round: number; readonly bytes: number; readonly totalBytes: number }
  | ({ readonly state: 'training'; readonly round: number } & StepProgress)
  /** Trouble of this machine that passes: the task is tried again. */
  | { readonly state: 'blocked'; readonly round: number; readonly reason: string };

/** What a participant is made of. */
export interface ParticipantOptions {
  readonly connection: FederationConnection;
  readonly model: LocalModel;
  readonly blobs: BlobStore;
  /** Where control variates are kept. */
  readonly controls: ControlStore;
  /** Where an optimiser's moments are kept. */
  readonly optimizers: OptimizerStore;
  /** Where what rounding left over of updates is kept. */
  readonly residuals: ResidualStore;
  /** Where the secrets of a round with secure aggregation are kept. */
  readonly secrets: SecretStore;
  /** In secure aggregation: how other clients recognise this client's keys, and whose keys it accepts. */
  readonly trust?: MemberTrust;
  /** For people to read. */
  readonly name: string;
  /** Software and version. */
  readonly agent: string;
  /** Tells the server more than the work needs: lines of the log, memory. */
  readonly reporter?: Reporter;
  readonly limits?: ParticipantLimits;
  readonly clock?: Clock;
  readonly log?: FederationLog;
  readonly onStatus?: (status: ParticipantStatus) => void;
}

/** A client's life in a federation: join, wait for work, train, send the update, again. */
export class Participant {
  readonly #options: ParticipantOptions;
  readonly #log: FederationLog;
  readonly #clock: Clock;
  readonly #secure: SecureSteps;
  /** The task in hand, for heartbeats. */
  #current: { readonly taskId: string; readonly abandon: AbortController; progress: StepProgress } | undefined;
  #notice: string | undefined;
  #heartbeat: Heartbeat | undefined;

  constructor(options: ParticipantOptions) {
    this.#options = options;
    this.#log = options.log ?? silentLog;
    this.#clock = options.clock ?? systemClock;
    this.#secure = new SecureSteps(options.secrets, options.trust);
  }

  /**
   * Runs until `signal` aborts.
   *
   * @throws Zk0Error when the server refuses this client, or an answer cannot be understood.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { connection, model, name, agent, reporter } = this.#options;
    this.#tell({ state: 'connecting' });
    await connection.join({ name, agent, profile: model.profile() }, signal);
    this.#log.info('joined the federation');
    const heartbeat = this.#startHeartbeat();
    this.#heartbeat = heartbeat;
    reporter?.start();
    try {
      while (!signal.aborted) {
        this.#tell({ state: 'idle', ...(this.#notice !== undefined && { notice: this.#notice }) });
        const task = await connection.poll(signal);
        if (task !== null) await this.#perform(task, signal);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      heartbeat.stop();
      await reporter?.close();
      await connection.leave().catch((error: unknown) => {
        this.#log.debug(`could not say goodbye: ${errorMessage(error)}`);
      });
    }
  }

  async #perform(task: Task, signal: AbortSignal): Promise<void> {
    const { taskId, runId, round, attempt } = task;
    const abandon = new AbortController();
    this.#current = { taskId, abandon, progress: { phase: 'starting', step: 0, totalSteps: 0 } };
    this.#heartbeat?.reschedule();
    try {
      const outcome = await this.#outcome(task, signal, abandon.signal);
      if (outcome === null) {
        this.#log.info('the server no longer needs this task', { round });
        return;
      }
      const answer = await this.#options.connection.result({ taskId, runId, round, attempt, outcome }, signal);
      const isIn = answer.status === 'accepted' || answer.status === 'duplicate';
      // Whatever the server makes of it: it is the last that a round asks for.
      if (task.kind === 'secure-unmask' && outcome.ok) await this.#secure.over(task);
      if (isIn) this.#log[task.kind === 'fit' ? 'info' : 'debug']('result accepted', { round });
      else this.#log.warn(`result ${answer.status}: ${answer.message ?? 'no reason given'}`, { round });
    } finally {
      this.#current = undefined;
    }
  }

  /** Trains; a failure of the training is an outcome too. `null` when the task is not wanted any more. */
  async #outcome(task: Task, signal: AbortSignal, abandoned: AbortSignal): Promise<TaskResult['outcome'] | null> {
    const either = AbortSignal.any([signal, abandoned]);
    for (let attempt = 1; ; attempt++) {
      try {
        return await (task.kind === 'fit' || task.kind === 'evaluate' ? this.#train(task, either) : this.#secureStep(task));
      } catch (error) {
        if (signal.aborted) throw error;
        if (abandoned.aborted || (error as Partial<Zk0Error>).code === 'FORBIDDEN') return null;
        if (error instanceof CancelledError) throw error;
        const { round } = task;
        if (!isPassingStorageError(error)) {
          const hint = error instanceof Zk0Error && error.hint !== undefined ? `. ${error.hint}` : '';
          this.#log.error(`round failed: ${errorMessage(error)}${hint}`, { round, error });
          return { ok: false, code: error instanceof Zk0Error ? error.code : 'INTERNAL', message: publicMessage(error) };
        }
        const reason = errorMessage(error);
        if (attempt === 1) this.#log.error(`${reason}; the task is tried again`, { round });
        this.#tell({ state: 'blocked', round, reason });
        await this.#clock.sleep(RETRY_MS, either).catch(() => undefined);
      }
    }
  }

  async #train(task: Task, signal: AbortSignal): Promise<TaskResult['outcome']> {
    const { connection, model, blobs } = this.#options;
    const { round, runId } = task;
    const fitTask = checkTask(task, this.#options.limits);
    const again = fitTask.masking === undefined ? null : await this.#secure.sentBefore(task, blobs);
    if (again !== null) {
      await connection.upload(again.update.hash, blobs, { signal, onProgress: this.#transfer('uploading', round, again.update.byteLength) });
      return { ok: true, ...again };
    }
    this.#log.info('round starts', { round });
    const clock = stopwatch();
    const onProgress = this.#transfer('downloading', round, task.parameters.byteLength);
    const options = { ...this.#options, log: this.#log };
    const global = await readParameters(await fetchParameters(task, fitTask, options, { signal, onProgress }));
    let [control, optimizer]: [ControlRound | null, OptimizerRound | null] = [null, null];
    try {
      control = await ControlRound.open(runId, fitTask, global, options, signal);
      optimizer = await OptimizerRound.open(runId, fitTask, global, options);
      const downloadSeconds = clock();
      const { context, fit, client } = fitTask;
      const result = await model.fit({ runId, context, fit, ...(client !== undefined && { client }) }, global, {
        signal,
        ...(control !== null && { correction: control.correction }),
        ...(optimizer !== null && { optimizer: optimizer.kept }),
        onProgress: (progress) => {
          this.#tell({ state: 'training', round, ...progress });
          this.#progress(progress);
        },
      });
      clock();
      const masked = await this.#secure.mask(task, fitTask, global, result, blobs);
      const update = masked?.update ?? (await putUpdate(task, fitTask, global, result, options));
      await optimizer?.name(update.hash);
      if (masked !== null) await this.#secure.keepSent(task, masked);
      const change = await control?.save(result.meanGradient!);
      for (const blob of change === undefined ? [update] : [update, change]) {
        await connection.upload(blob.hash, blobs, { signal, onProgress: this.#transfer('uploading', round, blob.byteLength) });
      }
      const uploadSeconds = clock();
      // The parameters of the next round may come as what makes them of these.
      await blobs.collect(new Set([update.hash, ...(fitTask.broadcast === undefined ? [] : [task.parameters.hash])]));
      const loss = clientLoss(result.metrics);
      this.#log.info(loss === undefined ? 'round trained' : `round trained: loss ${loss.toFixed(4)}`, { round });
      const { bytesUp, bytesDown } = connection.takeByteCounts();
      const times = { bytes_up: bytesUp, bytes_down: bytesDown, download_s: downloadSeconds, upload_s: uploadSeconds };
      const { numExamples, metrics } = masked ?? { numExamples: result.numExamples, metrics: finite(result.metrics) };
      const report = { numExamples, metrics: { ...metrics, ...times } };
      return {
        ok: true,
        update: { hash: update.hash, byteLength: update.byteLength },
        ...(change !== undefined && { control: change }),
        ...(fitTask.private === true ? privateReport(report) : report),
      };
    } finally {
      await control?.close();
      await optimizer?.close();
    }
  }

  /** A step of secure aggregation beside the training. */
  async #secureStep(task: Task): Promise<TaskResult['outcome']> {
    return { ok: true, answer: await this.#secure.answer(task), numExamples: 0, metrics: {} };
  }

  #transfer(state: 'downloading' | 'uploading', round: number, totalBytes: number): (bytes: number) => void {
    return (bytes) => {
      this.#tell({ state, round, bytes, totalBytes });
      if (this.#current !== undefined) this.#current.progress = { phase: state, step: bytes, totalSteps: totalBytes };
    };
  }

  #progress(progress: StepProgress): void {
    if (this.#current !== undefined) this.#current.progress = progress;
  }

  #startHeartbeat(): Heartbeat {
    return new Heartbeat((message) => this.#beat(message), {
      intervalMs: () => (this.#current === undefined ? undefined : REPORT_INTERVAL_MS),
      message: () => this.#heartbeatMessage(),
      onUnwanted: (taskId) => {
        if (this.#current?.taskId === taskId) this.#current.abandon.abort();
      },
      onFailure: (error) => {
        this.#log.debug(`heartbeat failed: ${errorMessage(error)}`);
      },
    });
  }

  async #beat(message: HeartbeatMessage): ReturnType<FederationConnection['heartbeat']> {
    const reply = await this.#options.connection.heartbeat(message);
    if (reply.notice !== this.#notice) {
      this.#notice = reply.notice;
      if (reply.notice !== undefined) this.#log.warn(`the server has no work for this client: ${reply.notice}`);
      if (this.#current === undefined) this.#tell({ state: 'idle', ...(reply.notice !== undefined && { notice: reply.notice }) });
    }
    return reply;
  }

  #heartbeatMessage(): HeartbeatMessage {
    if (this.#current === undefined) return {};
    const { taskId, progress } = this.#current;
    const { phase, step, totalSteps, loss } = progress;
    return { progress: { taskId, phase: phase.slice(0, 100), step, totalSteps, ...(loss !== undefined && Number.isFinite(loss) && { loss }) } };
  }

  #tell(status: ParticipantStatus): void {
    this.#options.onStatus?.(status);
  }
}

/** Metrics that are numbers: a figure that a round could not give is left out. */
function finite(metrics: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(metrics).filter(([, value]) => Number.isFinite(value)));
}

/** Seconds since the last call. */
function stopwatch(): () => number {
  let last = performance.now();
  return () => {
    const now = performance.now();
    const seconds = (now - last) / 1000;
    last = now;
    return seconds;
  };
}
