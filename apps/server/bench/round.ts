/**
 * Where a round's time goes: runs the default simulation and reads the answer from its journal.
 * `npx nx bench apps-server` (`-- --rounds 3`: any flags of `zk0-server simulate`)
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { table } from '@zk0/cli';
import { Ledger, openSqliteStores, type LedgerEntry } from '@zk0/federation';

/** Seconds of one round by what they were spent on. */
interface RoundSplit {
  readonly round: number;
  readonly total: number;
  /** The slowest client's local steps, frozen work included. */
  readonly training: number;
  /** The slowest client's download and upload. */
  readonly transfer: number;
  /** The rest until the round closed: task delivery, checks of updates. */
  readonly waiting: number;
  readonly aggregation: number;
  readonly evaluation: number;
  /** Metrics, charts, checkpoint. */
  readonly records: number;
}

function split(entries: readonly LedgerEntry[]): RoundSplit[] {
  const at = (type: string, round: number): number =>
    entries.find(({ event }) => event.type === type && 'round' in event && event.round === round)!.at.getTime() / 1000;
  const rounds = entries.flatMap(({ event }) => (event.type === 'round-checkpointed' ? [event.round] : []));
  return rounds.map((round) => {
    const updates = entries.flatMap(({ event }) => (event.type === 'update-accepted' && event.round === round ? [event.metrics] : []));
    const slowest = updates.reduce((a, b) => ((a['duration_s'] ?? 0) > (b['duration_s'] ?? 0) ? a : b));
    const training = slowest['duration_s'] ?? 0;
    const transfer = (slowest['download_s'] ?? 0) + (slowest['upload_s'] ?? 0);
    const [start, closed, aggregated, evaluated, end] = [
      at('round-configured', round),
      at('round-closed', round),
      at('round-aggregated', round),
      at('round-evaluated', round),
      at('round-checkpointed', round),
    ] as const;
    return {
      round,
      total: end - start,
      training,
      transfer,
      waiting: closed - start - training - transfer,
      aggregation: aggregated - closed,
      evaluation: evaluated - aggregated,
      records: end - evaluated,
    };
  });
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

const directory = mkdtempSync(join(tmpdir(), 'zk0-bench-'));
try {
  const out = join(directory, 'run');
  const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
  const args = ['--conditions=@zk0/source', main, 'simulate', '--out', out, ...process.argv.slice(2)];
  const { status } = spawnSync(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  if (status !== 0) process.exit(status ?? 1);
  const stores = openSqliteStores(join(out, '.server', 'journal.sqlite'));
  const ledger = await Ledger.open(stores.ledger);
  const [run] = await ledger.summaries();
  const rounds = split(await ledger.entries(run!.runId));
  stores.close();
  const keys = ['total', 'training', 'transfer', 'waiting', 'aggregation', 'evaluation', 'records'] as const;
  const seconds = (value: number): string => value.toFixed(2);
  const share = ({ total, training }: Pick<RoundSplit, 'total' | 'training'>): string => `${((1 - training / total) * 100).toFixed(1)} %`;
  const columns = ['round', ...keys.map((key) => `${key} s`), 'overhead'].map((header) => ({ header, align: 'right' as const }));
  const middle = Object.fromEntries(keys.map((key) => [key, median(rounds.map((round) => round[key]))])) as Omit<RoundSplit, 'round'>;
  process.stdout.write(
    `${table(columns, [
      ...rounds.map((round) => [String(round.round), ...keys.map((key) => seconds(round[key])), share(round)]),
      ['median', ...keys.map((key) => seconds(middle[key])), `${median(rounds.map(({ total, training }) => (1 - training / total) * 100)).toFixed(1)} %`],
    ])}\n`,
  );
} finally {
  rmSync(directory, { recursive: true, force: true });
}
