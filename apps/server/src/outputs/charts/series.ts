import type { RoundRecord } from '../types.ts';
import { clientLabel } from './text.ts';

/** Every round from the first recorded to the last, also those that were not recorded: an axis has no holes. */
export function roundAxis(rounds: readonly RoundRecord[]): number[] {
  const first = rounds[0]?.round ?? 0;
  const last = rounds.at(-1)?.round ?? first;
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** One value per round of `axis`; `null`, a gap in the line, where there is none or it is not a number. */
export function perRound(
  axis: readonly number[],
  rounds: readonly RoundRecord[],
  value: (record: RoundRecord) => number | undefined,
): (number | null)[] {
  const byRound = new Map(rounds.map((record) => [record.round, record]));
  return axis.map((round) => {
    const record = byRound.get(round);
    const found = record === undefined ? undefined : value(record);
    return found !== undefined && Number.isFinite(found) ? found : null;
  });
}

/** Ids of all clients that counted or were asked in any round, naturally sorted (`client_2` before `client_10`). */
export function clientIds(rounds: readonly RoundRecord[]): string[] {
  const ids = new Set(
    rounds.flatMap((record) => [...record.clients, ...(record.missing ?? [])].map(({ clientId }) => clientId)),
  );
  return [...ids].sort(new Intl.Collator('en', { numeric: true }).compare);
}

/** Linear interpolation between the values around quantile `q` of `sorted`, which is not empty. */
export function quantile(sorted: readonly number[], q: number): number {
  const at = q * (sorted.length - 1);
  const low = sorted[Math.floor(at)]!;
  return low + (sorted[Math.ceil(at)]! - low) * (at % 1);
}

/** `1, 3–5, 9`. */
export function ranges(sorted: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const value of sorted) {
    const last = runs.at(-1);
    if (last?.[1] === value - 1) last[1] = value;
    else runs.push([value, value]);
  }
  return runs.map(([from, to]) => (from === to ? String(from) : `${from}–${to}`)).join(', ');
}

/** How many clients, and how many separate runs of rounds of each, a note can list. */
const MAX_LISTED_CLIENTS = 3;
const MAX_LISTED_RANGES = 3;

/** One sentence on which clients were asked and did not count, for under a chart; empty when all did. */
export function missingNote(rounds: readonly RoundRecord[]): string {
  const missed = new Map<string, number[]>();
  for (const record of rounds) {
    for (const { clientId } of record.missing ?? []) missed.set(clientId, [...(missed.get(clientId) ?? []), record.round]);
  }
  if (missed.size === 0) return '';
  const listed = clientIds(rounds).filter((id) => missed.has(id));
  const shown = listed.slice(0, MAX_LISTED_CLIENTS).map((id) => `${clientLabel(id)} in ${when(missed.get(id)!)}`);
  const more = listed.length - shown.length;
  return `Without an update: ${[...shown, ...(more > 0 ? [`and ${more} more`] : [])].join('; ')}`;
}

function when(rounds: readonly number[]): string {
  const listed = ranges(rounds);
  if (listed.split(', ').length > MAX_LISTED_RANGES) return `${rounds.length} rounds`;
  return `${rounds.length === 1 ? 'round' : 'rounds'} ${listed}`;
}
