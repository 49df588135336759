import { mkdir } from 'node:fs/promises';
import { writeFileAtomic } from '@zk0/storage';
import { renderLossChart } from './charts/loss-chart.ts';
import { renderMetricsChart } from './charts/metrics-chart.ts';
import { DeferredDrawing } from './deferred-drawing.ts';
import { MetricsLog } from './metrics-log.ts';
import { RunPaths } from './paths.ts';
import { clientFile, configFile, federatedMetrics, lossHistory, serverFile } from './reports.ts';
import { TensorBoardWriter } from './tensorboard.ts';
import { scalarsOf } from './tensorboard-scalars.ts';
import type { RoundRecord, RunInfo } from './types.ts';

/** Writes the files of one run, round by round. */
export interface RunOutputs {
  readonly paths: RunPaths;
  /** Rounds recorded so far, by this process or by one before it that wrote into the same folder. */
  readonly rounds: readonly RoundRecord[];
  /**
   * Writes everything about a finished round: metrics, evaluation, event files; the charts follow a moment later. A round that is recorded already
   * is left as it is, so a restarted server may record again what it finds in its journal. Rounds must come in order.
   */
  recordRound(record: RoundRecord): Promise<void>;
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

  const charts = new DeferredDrawing(async () => {
    await writeFileAtomic(paths.lossChart, await renderLossChart(log.rounds));
    await writeFileAtomic(paths.federatedMetricsChart, await renderMetricsChart(log.rounds));
  });

  /** Writes what follows from the log; repeating it changes nothing. */
  const writeDerived = async (record: RoundRecord): Promise<void> => {
    for (const client of record.clients) {
      await mkdir(paths.client(client.clientId), { recursive: true });
      await writeFileAtomic(paths.clientRound(client.clientId, record.round), json(clientFile(record.round, client, record.time?.receivedAt.get(client.clientId))));
    }
    if (record.server !== null) {
      await writeFileAtomic(paths.serverEvaluation(record.round), json(serverFile(record.round, record.server)));
    }
    await writeFileAtomic(paths.federatedMetrics, json(federatedMetrics(log.rounds)));
    await writeFileAtomic(paths.lossHistory, json(lossHistory(log.rounds)));
    await charts.request();
  };
  // The process before may have died between the log and the files made from it.
  const last = log.rounds.at(-1);
  if (last !== undefined) await writeDerived(last);

  const recordRound = async (record: RoundRecord): Promise<void> => {
    if (record.round <= (log.rounds.at(-1)?.round ?? -1)) return;
    await log.append(record);
    events.scalars(record.round, scalarsOf(record));
    await writeDerived(record);
  };
  return {
    paths,
    get rounds() {
      return log.rounds;
    },
    recordRound,
    close: async () => {
      const closed = await Promise.allSettled([charts.finish(), log.close(), Promise.resolve().then(() => { events.close(); })]);
      const failed = closed.find((result) => result.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    },
  };
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
