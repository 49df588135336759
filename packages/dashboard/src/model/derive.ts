import type { ParticipantView, RoundView, RunView } from './view.ts';

/** A kind of work in a round's timeline. */
export type SpanKind = 'wait' | 'download' | 'train' | 'upload' | 'aggregate' | 'evaluate' | 'checkpoint';

/** A stretch of time, in ms since 1970. */
export interface Span {
  readonly kind: SpanKind;
  readonly from: number;
  readonly to: number;
}

/** One line of a round's timeline. */
export interface TimelineRow {
  /** A client's id, or the server. */
  readonly who: string;
  readonly isServer: boolean;
  readonly participant?: ParticipantView;
  readonly spans: readonly Span[];
}

const KIND_OF_PHASE: Readonly<Record<string, SpanKind>> = { starting: 'wait', downloading: 'download', uploading: 'upload' };

/** Who did what when in a round, the server first, then clients by when they were heard. */
export function timeline(round: RoundView, now: number): TimelineRow[] {
  const clients = [...(round.participants?.values() ?? [])]
    .sort((a, b) => (a.settledAt ?? Infinity) - (b.settledAt ?? Infinity) || (a.clientId < b.clientId ? -1 : 1))
    .map((participant) => ({ who: participant.clientId, isServer: false, participant, spans: clientSpans(round, participant, now) }));
  return [{ who: 'server', isServer: true, spans: serverSpans(round, now) }, ...clients];
}

/** When a round's timeline begins and ends. */
export function extent(round: RoundView, now: number): readonly [from: number, to: number] {
  return [round.startedAt, Math.max(round.endedAt ?? now, round.startedAt + 1)];
}

function serverSpans({ closedAt, aggregatedAt, evaluatedAt, endedAt, phase, startedAt }: RoundView, now: number): Span[] {
  const steps: readonly (readonly [SpanKind, number | undefined, number | undefined])[] = [
    ['wait', startedAt, closedAt],
    ['aggregate', closedAt, aggregatedAt ?? (phase === 'skipped' ? endedAt : undefined)],
    ['evaluate', aggregatedAt, evaluatedAt],
    ['checkpoint', evaluatedAt, endedAt],
  ];
  return steps.flatMap(([kind, from, to]) => (from === undefined ? [] : [{ kind, from, to: to ?? endedAt ?? now }]));
}

function clientSpans(round: RoundView, { metrics, settledAt, phases, state }: ParticipantView, now: number): Span[] {
  const end = settledAt ?? round.closedAt ?? now;
  if (metrics?.trainSeconds !== undefined) {
    // Counted back from when the result was heard, by the client's own clock for durations.
    const up = end - 1000 * (metrics.uploadSeconds ?? 0);
    const trained = up - 1000 * metrics.trainSeconds;
    const down = trained - 1000 * (metrics.downloadSeconds ?? 0);
    const spans: Span[] = [
      { kind: 'wait', from: round.startedAt, to: down },
      { kind: 'download', from: down, to: trained },
      { kind: 'train', from: trained, to: up },
      { kind: 'upload', from: up, to: end },
    ];
    return spans.map((span) => ({ ...span, from: Math.max(span.from, round.startedAt), to: Math.max(span.to, round.startedAt) })).filter(({ from, to }) => to > from);
  }
  const seen = phases.map(({ phase, at }, index): Span => ({ kind: KIND_OF_PHASE[phase] ?? 'train', from: at, to: phases[index + 1]?.at ?? end }));
  const first = seen[0]?.from ?? (state === 'unneeded' || settledAt !== undefined || round.closedAt !== undefined ? end : now);
  return [{ kind: 'wait' as const, from: round.startedAt, to: first }, ...seen].filter(({ from, to }) => to > from);
}

/** The client whose update came last in a round, and how long after the one before it, in ms. */
export function waitedFor(round: RoundView): { readonly clientId: string; readonly ms: number } | null {
  const settled = [...(round.participants?.values() ?? [])].filter(({ settledAt }) => settledAt !== undefined).sort((a, b) => b.settledAt! - a.settledAt!);
  const [last, previous] = settled;
  if (round.closedBecause !== 'all-in' || last === undefined || previous === undefined) return null;
  return { clientId: last.clientId, ms: last.settledAt! - previous.settledAt! };
}

/** Clients that have not answered in a round that is open. */
export function stillOut(round: RoundView): readonly string[] {
  if (round.phase !== 'training') return [];
  return [...(round.participants?.values() ?? [])].filter(({ state }) => state === 'assigned').map(({ clientId }) => clientId);
}

/** Time left of a run in ms, as its last rounds suggest; `null` before one is done, while it is paused, and after the end. */
export function timeLeft(run: RunView, now: number): number | null {
  if (run.phase !== 'running' || run.paused !== undefined) return null;
  const total = Number(run.config['rounds']);
  const over = run.rounds.filter(({ round, endedAt }) => round > 0 && endedAt !== undefined);
  const last = run.rounds.at(-1);
  if (over.length === 0 || last === undefined || !Number.isFinite(total)) return null;
  const recent = over.slice(-5);
  const mean = recent.reduce((sum, { startedAt, endedAt }) => sum + endedAt! - startedAt, 0) / recent.length;
  const rest = (total - last.round) * mean;
  const open = last.endedAt === undefined ? Math.max(0, mean - (now - last.startedAt)) : 0;
  return rest + open;
}

/** Rounds with a checkpoint, newest first, and which of them has the lowest held-out loss. */
export function checkpoints(run: RunView): readonly { readonly round: RoundView; readonly isBest: boolean }[] {
  const saved = run.rounds.filter(({ checkpoint }) => checkpoint != null);
  const best = saved.filter(({ evaluation }) => evaluation != null).sort((a, b) => a.evaluation!.loss - b.evaluation!.loss)[0];
  return saved.map((round) => ({ round, isBest: round === best })).reverse();
}

/** The round with the lowest held-out loss, and that of the initial model. */
export function bestLoss(run: RunView): { readonly round: number; readonly loss: number; readonly initial?: number } | null {
  const evaluated = run.rounds.flatMap(({ round, evaluation }) => (evaluation == null ? [] : [{ round, loss: evaluation.loss }]));
  const [best] = [...evaluated].sort((a, b) => a.loss - b.loss);
  if (best === undefined) return null;
  const initial = evaluated.find(({ round }) => round === 0);
  return { ...best, ...(initial !== undefined && { initial: initial.loss }) };
}

/**
 * Exponentially weighted means, as charts smooth a curve: each point counts `1 − weight`, and what is missing is left out.
 *
 * @param weight - from 0 (nothing changes) up to, not including, 1
 */
export function smoothed(values: readonly (number | null)[], weight: number): (number | null)[] {
  let sum = 0;
  let count = 0;
  return values.map((value) => {
    if (value === null || weight === 0) return value;
    sum = sum * weight + value * (1 - weight);
    count = count * weight + (1 - weight);
    return sum / count;
  });
}

/** One point for each x at which any of the curves has one, as charts want them. */
export function aligned(curves: readonly (readonly (readonly [x: number, y: number])[])[]): { readonly xs: number[]; readonly ys: (number | null)[][] } {
  const xs = [...new Set(curves.flatMap((points) => points.map(([x]) => x)))].sort((a, b) => a - b);
  const index = new Map(xs.map((x, at) => [x, at]));
  const ys = curves.map((points) => {
    const values = new Array<number | null>(xs.length).fill(null);
    for (const [x, y] of points) values[index.get(x)!] = y;
    return values;
  });
  return { xs, ys };
}

/** Seconds since the run was created at which each round's result was there. */
export function roundTimes(run: RunView): ReadonlyMap<number, number> {
  return new Map(run.rounds.map(({ round, startedAt, closedAt, evaluatedAt, endedAt }) => [round, ((evaluatedAt ?? endedAt ?? closedAt ?? startedAt) - (run.startedAt ?? run.createdAt)) / 1000]));
}
