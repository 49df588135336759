import { existsSync, readFileSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { TRIAL_FAILURES } from '@zk0/core';
import { z } from 'zod';
import { OutputsError } from './errors.ts';
import { aggregatedMetrics, clientFile, serverFile } from './reports.ts';
import { roundTimeFields, type RoundTime } from './round-times.ts';
import type { RoundRecord, SuccessRecord } from './types.ts';

// JSON has no NaN: a diverged loss is written as null.
const number = z.number().nullable().transform((value) => value ?? NaN);
const round = z.int().min(0);
const date = z.iso.datetime().transform((text) => new Date(text));
const clientLine = z
  .object({
    type: z.literal('client'),
    round,
    client_id: z.string(),
    dataset_name: z.string(),
    num_examples: z.number(),
    param_hash: z.string().optional(),
    received_at: date.optional(),
  })
  .catchall(number);
const missingLine = z.object({ type: z.literal('missing'), round, client_id: z.string(), reason: z.string() });
const serverLine = z.object({
  type: z.literal('server'),
  round,
  policy_loss: number,
  standard_error: number.optional(),
  total_samples: z.number(),
  datasets: z.array(
    z.object({
      name: z.string(),
      policy_loss: number,
      standard_error: number.optional(),
      action_dim: z.number(),
      total_samples: z.number(),
      successful_batches: z.number().optional(),
      total_batches: z.number().optional(),
    }),
  ),
});
const roundLine = z
  .object({
    type: z.literal('round'),
    round,
    param_hash: z.string().optional(),
    skipped: z.string().optional(),
    started_at: date.optional(),
    ended_at: date.optional(),
  })
  .catchall(number);
const share = z.number().min(0).max(1);
const summary = {
  successes: z.int().min(0),
  trials: z.int().min(0),
  rate: share,
  low: share,
  high: share,
  secondsToSuccess: z.number().nullable(),
  failures: z.partialRecord(z.enum(TRIAL_FAILURES), z.int()),
};
const successLine = z.object({
  type: z.literal('success'),
  round,
  tasks: z.array(z.string()),
  seed: z.string(),
  notes: z.array(z.string()).exactOptional(),
  ...summary,
  places: z.array(z.object({ world: z.string(), place: z.string().nullable(), ...summary, clampedShare: share, meanScore: share.exactOptional() })),
});
const line = z.discriminatedUnion('type', [clientLine, missingLine, serverLine, roundLine, successLine]);
type Line = Exclude<z.infer<typeof line>, { type: 'success' }>;

/**
 * `metrics.jsonl`: the record that every other file of metrics is made from. One line per client and round, one per
 * evaluation, and a `round` line that ends each round; a `success` line, complete by itself, for each time that a policy was tried. A
 * round is appended at once and synced; whatever follows the last complete entry was torn by a crash and is cut off.
 */
export class MetricsLog {
  private readonly handle: FileHandle;
  private readonly recorded: RoundRecord[];
  private readonly tried: SuccessRecord[];

  private constructor(handle: FileHandle, recorded: RoundRecord[], tried: SuccessRecord[]) {
    this.handle = handle;
    this.recorded = recorded;
    this.tried = tried;
  }

  /** @throws OutputsError when a line that a finished round consists of cannot be read */
  static async open(path: string): Promise<MetricsLog> {
    const handle = await open(path, 'a+');
    try {
      const text = await handle.readFile('utf8');
      const { records, successes, length } = parseLog(text, path);
      await handle.truncate(Buffer.byteLength(text.slice(0, length)));
      return new MetricsLog(handle, records, successes);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  get rounds(): readonly RoundRecord[] {
    return this.recorded;
  }

  /** How often policies did their tasks, by round. */
  get successes(): readonly SuccessRecord[] {
    return this.tried;
  }

  async append(record: RoundRecord): Promise<void> {
    await this.#write(linesOf(record));
    this.recorded.push(record);
  }

  async appendSuccess(record: SuccessRecord): Promise<void> {
    await this.#write([{ ...record, type: 'success' }]);
    this.tried.push(record);
    this.tried.sort((a, b) => a.round - b.round);
  }

  async #write(entries: readonly object[]): Promise<void> {
    await this.handle.appendFile(entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
    await this.handle.sync();
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}

function linesOf(record: RoundRecord): Readonly<Record<string, unknown>>[] {
  return [
    ...record.clients.map((client) => ({ ...clientFile(record.round, client, record.time?.receivedAt.get(client.clientId)), type: 'client' })),
    ...(record.missing ?? []).map(({ clientId, reason }) => ({
      type: 'missing',
      round: record.round,
      client_id: clientId,
      reason,
    })),
    ...(record.server === null ? [] : [{ ...serverFile(record.round, record.server), type: 'server' }]),
    {
      ...aggregatedMetrics(record),
      type: 'round',
      round: record.round,
      ...(record.time === undefined ? {} : roundTimeFields(record.time)),
      ...(record.paramHash === undefined ? {} : { param_hash: record.paramHash }),
      ...(record.skipped === undefined ? {} : { skipped: record.skipped }),
    },
  ];
}

/** The finished rounds of a log, the successes, and how much of the text they are. */
function parseLog(text: string, path: string): { records: RoundRecord[]; successes: SuccessRecord[]; length: number } {
  const records: RoundRecord[] = [];
  const successes: SuccessRecord[] = [];
  let pending: Line[] = [];
  let length = 0;
  let at = 0;
  for (const [index, raw] of text.split('\n').slice(0, -1).entries()) {
    at += raw.length + 1;
    const entry = parseLine(raw);
    if (entry === undefined) {
      // Torn writes are at the end; a bad line with finished rounds after it is something else.
      if (!text.slice(at).includes('"type":"round"')) break;
      throw new OutputsError(`${path}:${index + 1} is not a line of metrics`, {
        hint: 'Restore the file, or go on in another output directory',
      });
    }
    if (entry.type === 'success') {
      successes.push(successOf(entry));
      if (pending.length === 0) length = at;
      continue;
    }
    pending.push(entry);
    if (entry.type === 'round') {
      records.push(recordOf(pending, entry));
      pending = [];
      length = at;
    }
  }
  return { records, successes: successes.sort((a, b) => a.round - b.round), length };
}

/** How often policies did their tasks, by the `metrics.jsonl` of a run that nobody drives; lines that cannot be read are left out. */
export function readSuccesses(path: string): SuccessRecord[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n').filter((raw) => raw.includes('"type":"success"'));
  return lines.flatMap((raw) => {
    const entry = parseLine(raw);
    return entry?.type === 'success' ? [successOf(entry)] : [];
  });
}

function successOf({ round, tasks, seed, notes, successes, trials, rate, low, high, secondsToSuccess, failures, places }: z.infer<typeof successLine>): SuccessRecord {
  return { round, tasks, seed, ...(notes === undefined ? {} : { notes }), successes, trials, rate, low, high, secondsToSuccess, failures, places };
}

function parseLine(raw: string): z.infer<typeof line> | undefined {
  try {
    return line.parse(JSON.parse(raw));
  } catch {
    return undefined;
  }
}

function recordOf(lines: readonly Line[], end: z.infer<typeof roundLine>): RoundRecord {
  const { round: number, param_hash: paramHash, skipped } = end;
  const server = lines.find((entry) => entry.type === 'server');
  return {
    round: number,
    clients: lines.flatMap((entry) => (entry.type === 'client' ? [clientOf(entry)] : [])),
    missing: lines.flatMap((entry) =>
      entry.type === 'missing' ? [{ clientId: entry.client_id, reason: entry.reason }] : [],
    ),
    server: server === undefined ? null : evaluationOf(server),
    aggregated: numbersOf(end, ['round', ...TIMES]),
    ...timeOf(lines, end),
    ...(paramHash === undefined ? {} : { paramHash }),
    ...(skipped === undefined ? {} : { skipped }),
  };
}

function clientOf(entry: z.infer<typeof clientLine>): RoundRecord['clients'][number] {
  return {
    clientId: entry.client_id,
    datasetName: entry.dataset_name,
    numExamples: entry.num_examples,
    metrics: numbersOf(entry, ['round', 'num_examples']),
    ...(entry.param_hash === undefined ? {} : { paramHash: entry.param_hash }),
  };
}

/** Durations of a `round` line that {@link timeOf} gives back as times. */
const TIMES = ['round_s', 'collect_s', 'aggregate_s', 'evaluate_s'];

/** When things happened in a round, from its lines: times from durations where only these were written. */
function timeOf(lines: readonly Line[], end: z.infer<typeof roundLine>): { readonly time?: RoundTime } {
  const { started_at: startedAt, ended_at: endedAt } = end;
  if (startedAt === undefined || endedAt === undefined) return {};
  const after = (from: Date | undefined, name: string): Date | undefined => {
    const seconds = end[name];
    return from === undefined || typeof seconds !== 'number' ? undefined : new Date(from.getTime() + Math.round(seconds * 1000));
  };
  const closedAt = after(startedAt, 'collect_s');
  const aggregatedAt = after(closedAt, 'aggregate_s');
  const evaluatedAt = after(aggregatedAt ?? startedAt, 'evaluate_s');
  const receivedAt = new Map(lines.flatMap((entry) => (entry.type === 'client' && entry.received_at !== undefined ? [[entry.client_id, entry.received_at] as const] : [])));
  return {
    time: {
      startedAt,
      ...(closedAt !== undefined && { closedAt }),
      ...(aggregatedAt !== undefined && { aggregatedAt }),
      ...(evaluatedAt !== undefined && { evaluatedAt }),
      endedAt,
      receivedAt,
    },
  };
}

/** The metrics of a line: every number that is not one of its fixed keys. */
function numbersOf(entry: Readonly<Record<string, unknown>>, fixed: readonly string[]): Record<string, number> {
  return Object.fromEntries(
    Object.entries(entry).filter(
      (pair): pair is [string, number] => typeof pair[1] === 'number' && !fixed.includes(pair[0]),
    ),
  );
}

function evaluationOf(entry: z.infer<typeof serverLine>): NonNullable<RoundRecord['server']> {
  return {
    policyLoss: entry.policy_loss,
    ...(entry.standard_error === undefined ? {} : { standardError: entry.standard_error }),
    totalSamples: entry.total_samples,
    datasets: entry.datasets.map((dataset) => ({
      name: dataset.name,
      policyLoss: dataset.policy_loss,
      ...(dataset.standard_error === undefined ? {} : { standardError: dataset.standard_error }),
      samples: dataset.total_samples,
      actionDim: dataset.action_dim,
      ...(dataset.successful_batches === undefined ? {} : { successfulBatches: dataset.successful_batches }),
      ...(dataset.total_batches === undefined ? {} : { totalBatches: dataset.total_batches }),
    })),
  };
}
