import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { writeFileAtomic } from '@zk0/storage';
import { renderLossChart } from './charts/loss-chart.ts';
import { renderMetricsChart } from './charts/metrics-chart.ts';
import { renderSuccessByRound } from './charts/success-chart.ts';
import { DeferredDrawing } from './deferred-drawing.ts';
import { MetricsLog } from './metrics-log.ts';
import { RunPaths } from './paths.ts';
import { clientFile, configFile, federatedMetrics, lossHistory, serverFile } from './reports.ts';
import { TensorBoardWriter } from './tensorboard.ts';
import { scalarsOf, successScalars } from './tensorboard-scalars.ts';
import type { RoundRecord, RunInfo, SuccessRecord } from './types.ts';

/** Writes the files of one run, round by round. */
export interface RunOutputs {
  readonly paths: RunPaths;
  /** Rounds recorded so far, by this process or by one before it that wrote into the same folder. */
  readonly rounds: readonly RoundRecord[];
  /**
   * Writes everything about a finished round: metrics, evaluation, event files; what is made from all rounds (overviews, charts)
   * follows a moment later. A round that is recorded already is left as it is, so a restarted server may record again what it finds
   * in its journal. Rounds must come in order.
   */
  recordRound(record: RoundRecord): Promise<void>;
  /** How often rounds' policies did their tasks so far. */
  readonly successes: readonly SuccessRecord[];
  /** Writes how often a round's policy did its tasks, which is known some time after the round. A round counts once. */
  recordSuccess(record: SuccessRecord): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens the outputs of a run in `directory`, which is made. What an earlier process recorded there is read back, and the
 * run goes on from it.
 *
 * @throws StorageError when a file cannot be written, OutputsError when an earlier `metrics.jsonl` cannot be read back
 */
export async function createRunOutputs(directory: string, info: RunInfo): Promise<RunOutputs> {
  const paths = new RunPaths(directory);
  for (const folder of [paths.server, paths.tensorboard]) await mkdir(folder, { recursive: true });
  await writeFileAtomic(paths.config, json(configFile(info)));
  const log = await MetricsLog.open(paths.metrics);
  const events = new TensorBoardWriter(paths.tensorboard);

  // What is made from all rounds grows with them: it is made anew a moment later, for several short rounds at once.
  const overviews = new DeferredDrawing(async () => {
    await write(paths.federatedMetrics, json(federatedMetrics(log.rounds)));
    await write(paths.lossHistory, json(lossHistory(log.rounds)));
    if (log.successes.length > 0) {
      await write(paths.successHistory, json(log.successes));
      await writeFileAtomic(paths.successChart, await renderSuccessByRound(log.successes));
    }
    await writeFileAtomic(paths.lossChart, await renderLossChart(log.rounds));
    await writeFileAtomic(paths.federatedMetricsChart, await renderMetricsChart(log.rounds));
  });

  // The process before may have died between the log and the files made from it.
  for (const record of log.rounds) {
    for (const file of roundFiles(record, paths)) if (!(await isWritten(file.path))) await write(file.path, file.text());
  }
  if (log.rounds.length > 0) await overviews.request();

  const recordRound = async (record: RoundRecord): Promise<void> => {
    if (record.round <= (log.rounds.at(-1)?.round ?? -1)) return;
    await log.append(record);
    events.scalars(record.round, scalarsOf(record));
    for (const file of roundFiles(record, paths)) await write(file.path, file.text());
    await overviews.request();
  };
  return {
    paths,
    get rounds() {
      return log.rounds;
    },
    recordRound,
    get successes() {
      return log.successes;
    },
    recordSuccess: async (record) => {
      if (log.successes.some(({ round }) => round === record.round)) return;
      await log.appendSuccess(record);
      events.scalars(record.round, successScalars(record));
      await overviews.request();
    },
    close: async () => {
      const closed = await Promise.allSettled([overviews.finish(), log.close(), Promise.resolve().then(() => { events.close(); })]);
      const failed = closed.find((result) => result.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    },
  };
}

interface DerivedFile {
  readonly path: string;
  readonly text: () => string;
}

/** The files of one round that follow from the log. */
function roundFiles({ round, clients, server, time }: RoundRecord, paths: RunPaths): DerivedFile[] {
  const ofClients = clients.map((client) => ({
    path: paths.clientRound(client.clientId, round),
    text: () => json(clientFile(round, client, time?.receivedAt.get(client.clientId))),
  }));
  return server === null ? ofClients : [...ofClients, { path: paths.serverEvaluation(round), text: () => json(serverFile(round, server)) }];
}

/** The log is forced to disk; what is made from it is not, for the next process makes what is missing or empty. */
async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFileAtomic(path, text, { durable: false });
}

async function isWritten(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && found.size > 0;
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
