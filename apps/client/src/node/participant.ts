import {
  CancelledError,
  clientProfileSchema,
  datasetProfile,
  errorMessage,
  fitTaskSchema,
  encodeParameters,
  Zk0Error,
  type RobotDatasetInfo,
  type StepProgress,
} from '@zk0/core';
import type { Logger } from '@zk0/logger';
import { readParameters, type BlobStore } from '@zk0/storage';
import type { Task, TaskResult, TransportClient } from '@zk0/transport';
import { ControlRound } from './control-round.ts';
import type { ControlStore } from './control-store.ts';
import type { FitRunner } from './fit-runner.ts';

/** Between two progress reports to the server; each doubles as a heartbeat. */
const REPORT_INTERVAL_MS = 1000;

/** What a participant is doing, for the operator's eyes. */
export type ParticipantStatus =
  | { readonly state: 'connecting' }
  | { readonly state: 'idle' }
  | { readonly state: 'downloading' | 'uploading'; readonly round: number; readonly bytes: number; readonly totalBytes: number }
  | ({ readonly state: 'training'; readonly round: number } & StepProgress);

/** What a participant is made of. */
export interface ParticipantOptions {
  readonly client: TransportClient;
  readonly runner: FitRunner;
  readonly blobs: BlobStore;
  /** Where control variates are kept. */
  readonly controls: ControlStore;
  readonly dataset: RobotDatasetInfo;
  readonly name: string;
  readonly device: string;
  readonly agent: string;
  readonly log: Logger;
  readonly onStatus: (status: ParticipantStatus) => void;
}

/** A client's life in a federation: join, wait for work, train, send the update, again. */
export class Participant {
  readonly #options: ParticipantOptions;

  constructor(options: ParticipantOptions) {
    this.#options = options;
  }

  /**
   * Runs until `signal` aborts.
   *
   * @throws Zk0Error when the server refuses this client, or an answer cannot be understood.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { client, log } = this.#options;
    this.#options.onStatus({ state: 'connecting' });
    try {
      await this.#join(signal);
      while (!signal.aborted) {
        this.#options.onStatus({ state: 'idle' });
        const task = await client.poll(signal);
        if (task !== null) await this.#perform(task, signal);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      await client.leave().catch((error: unknown) => {
        log.debug(`could not say goodbye: ${errorMessage(error)}`);
      });
    }
  }

  async #join(signal: AbortSignal): Promise<void> {
    const { client, dataset, device, name, agent, log } = this.#options;
    const profile = clientProfileSchema.parse({ dataset: datasetProfile(dataset), device });
    await client.join({ name, agent, profile }, signal);
    log.info(`joined with dataset ${dataset.name}: ${dataset.episodes.length} episodes, ${dataset.frameCount} frames`);
  }

  async #perform(task: Task, signal: AbortSignal): Promise<void> {
    const { client, log } = this.#options;
    const { taskId, runId, round, attempt } = task;
    let outcome: TaskResult['outcome'];
    const abandon = new AbortController();
    try {
      outcome = await this.#train(task, AbortSignal.any([signal, abandon.signal]), abandon);
    } catch (error) {
      if (signal.aborted) throw error;
      if (abandon.signal.aborted) {
        log.info('the server no longer needs this task', { round });
        return;
      }
      if (error instanceof CancelledError) throw error;
      log.error(`round failed: ${errorMessage(error)}`, { round, error });
      outcome = { ok: false, code: error instanceof Zk0Error ? error.code : 'INTERNAL', message: errorMessage(error) };
    }
    const answer = await client.result({ taskId, runId, round, attempt, outcome }, signal);
    if (answer.status === 'accepted' || answer.status === 'duplicate') log.info('result accepted', { round });
    else log.warn(`result ${answer.status}: ${answer.message ?? 'no reason given'}`, { round });
  }

  async #train(task: Task, signal: AbortSignal, abandon: AbortController): Promise<TaskResult['outcome']> {
    const { client, runner, blobs, log, onStatus } = this.#options;
    const { round } = task;
    const parsed = fitTaskSchema.safeParse(task.instructions);
    if (task.kind !== 'fit' || !parsed.success) {
      throw new Zk0Error('TASK_UNKNOWN', `round ${round}: the server sent a task this client cannot read`, {
        hint: 'Run the same zk0 release on both sides.',
      });
    }
    const { hash, byteLength } = task.parameters;
    log.info('round starts', { round });
    const clock = stopwatch();
    await client.download(hash, byteLength, blobs, {
      signal,
      onProgress: (bytes) => {
        onStatus({ state: 'downloading', round, bytes, totalBytes: byteLength });
      },
    });
    const global = await readParameters(blobs.path(hash));
    const control = await ControlRound.open(task.runId, parsed.data, global, this.#options, signal);
    try {
      const downloadSeconds = clock();
      const report = this.#reporter(task, abandon);
      const result = await runner.fit(parsed.data, global, {
        signal,
        ...(control !== null && { correction: control.correction }),
        onProgress: (progress) => {
          onStatus({ state: 'training', round, ...progress });
          report(progress);
        },
      });
      clock();
      const update = await blobs.put(encodeParameters(result.parameters));
      const change = await control?.save(result.meanGradient!);
      for (const { hash, byteLength: totalBytes } of change === undefined ? [update] : [update, change]) {
        await client.upload(hash, blobs, {
          signal,
          onProgress: (bytes) => {
            onStatus({ state: 'uploading', round, bytes, totalBytes });
          },
        });
      }
      const uploadSeconds = clock();
      await blobs.collect(new Set([update.hash]));
      log.info(`round trained: loss ${result.metrics['loss']?.toFixed(4) ?? 'unknown'}`, { round });
      const { bytesUp, bytesDown } = client.takeByteCounts();
      return {
        ok: true,
        update: { hash: update.hash, byteLength: update.byteLength },
        ...(change !== undefined && { control: change }),
        numExamples: result.numExamples,
        metrics: {
          ...result.metrics,
          bytes_up: bytesUp,
          bytes_down: bytesDown,
          download_s: downloadSeconds,
          upload_s: uploadSeconds,
        },
      };
    } finally {
      await control?.close();
    }
  }

  /** Sends progress at a bounded rate, never two at once; the server's "stop" abandons the task. */
  #reporter(task: Task, abandon: AbortController): (progress: StepProgress) => void {
    const { client, log } = this.#options;
    let last = 0;
    let sending = false;
    return (progress) => {
      const now = Date.now();
      if (sending || now - last < REPORT_INTERVAL_MS) return;
      last = now;
      sending = true;
      client
        .progress({ taskId: task.taskId, ...progress })
        .then(({ continue: wanted }) => {
          if (!wanted) abandon.abort();
        })
        .catch((error: unknown) => {
          log.debug(`progress report failed: ${errorMessage(error)}`, { round: task.round });
        })
        .finally(() => {
          sending = false;
        });
    };
  }
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
