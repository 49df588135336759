import type { JsonObject } from '@zk0/core';
import { versionsSince } from '@zk0/core';
import type { Activity } from './virtual-client.ts';
import type { VirtualOutcome } from './run-virtual.ts';

/** Shares of the initial loss that the time to is given for. */
const TARGETS = [0.5, 0.1, 0.05, 0.02, 0.01] as const;
const ACTIVITIES: readonly Activity[] = ['useful', 'wasted', 'waiting', 'away'];

/** How evenly something is shared, from 1/n (one has all) to 1 (all the same); Jain, Chiu & Hawe (1984). 1 where there is nothing to share. */
export function jainIndex(values: readonly number[]): number {
  const sum = values.reduce((total, value) => total + value, 0);
  const squares = values.reduce((total, value) => total + value * value, 0);
  return squares === 0 ? 1 : (sum * sum) / (values.length * squares);
}

/** What a simulation came to, as it is written: the same bytes for the same settings and seed. */
export interface VirtualSummary {
  readonly name: string;
  readonly phase: string;
  readonly ending: string | null;
  readonly rounds: number;
  readonly skipped: number;
  /** Virtual seconds from the run's start to its end. */
  readonly seconds: number;
  readonly losses: VirtualOutcome['losses'];
  /** Virtual seconds until the loss was that share of the initial one; `null`: never. */
  readonly secondsTo: Readonly<Record<string, number | null>>;
  /** Gigabytes that clients received and sent until then. */
  readonly gigabytesTo: Readonly<Record<string, number | null>>;
  readonly bytes: { readonly down: number; readonly up: number };
  readonly fairness: {
    readonly jainUpdates: number;
    readonly jainSteps: number;
    readonly updates: { readonly least: number; readonly median: number; readonly most: number };
    /** Clients of which no update counted. */
    readonly never: number;
    /** The same by speed: mean updates of each tenth of the clients, the slowest first. */
    readonly updatesBySpeed: readonly number[];
  };
  /** Shares of the clients' time. */
  readonly time: Readonly<Record<Activity, number>>;
  readonly vanished: number;
  /** Versions between an update's start and its end. */
  readonly staleness: { readonly mean: number; readonly most: number };
  /** SHA-256 of the last parameters. */
  readonly parameters: string | null;
  readonly settings: JsonObject;
}

/** Puts an outcome in figures. */
export function summarize(name: string, { state, seconds, losses, clients }: VirtualOutcome, settings: JsonObject): VirtualSummary {
  const [first] = losses;
  const reached = TARGETS.map((target) => [String(target), losses.find(({ loss }) => first !== undefined && loss <= target * first.loss)] as const);
  const updates = clients.map(({ tally }) => tally.updates);
  const sorted = [...updates].sort((a, b) => a - b);
  const total = (what: (client: VirtualOutcome['clients'][number]) => number): number => clients.reduce((sum, client) => sum + what(client), 0);
  const all = total(({ tally }) => ACTIVITIES.reduce((sum, activity) => sum + tally.seconds[activity], 0));
  const staleness = stalenessOf(state);
  return {
    name,
    phase: state.phase,
    ending: state.ending?.message ?? null,
    rounds: state.rounds.length,
    skipped: state.rounds.filter(({ phase }) => phase === 'skipped').length,
    seconds,
    losses,
    secondsTo: Object.fromEntries(reached.map(([target, point]) => [target, point?.seconds ?? null])),
    gigabytesTo: Object.fromEntries(reached.map(([target, point]) => [target, point === undefined ? null : (point.bytesUp + point.bytesDown) / 1e9])),
    bytes: { down: total(({ tally }) => tally.bytesDown), up: total(({ tally }) => tally.bytesUp) },
    fairness: {
      jainUpdates: jainIndex(updates),
      jainSteps: jainIndex(clients.map(({ tally }) => tally.steps)),
      updates: { least: sorted[0]!, median: sorted[sorted.length >> 1]!, most: sorted.at(-1)! },
      never: updates.filter((count) => count === 0).length,
      updatesBySpeed: tenths(clients),
    },
    time: Object.fromEntries(ACTIVITIES.map((activity) => [activity, all === 0 ? 0 : total(({ tally }) => tally.seconds[activity]) / all])) as Record<Activity, number>,
    vanished: total(({ tally }) => tally.vanished),
    staleness: { mean: staleness.length === 0 ? 0 : staleness.reduce((sum, value) => sum + value, 0) / staleness.length, most: Math.max(0, ...staleness) },
    parameters: state.parameters?.hash ?? null,
    settings,
  };
}

function tenths(clients: VirtualOutcome['clients']): number[] {
  const bySpeed = [...clients].sort((a, b) => a.traits.stepsPerSecond - b.traits.stepsPerSecond);
  const groups = Math.min(10, bySpeed.length);
  return Array.from({ length: groups }, (_, group) => {
    const members = bySpeed.slice(Math.floor((group * bySpeed.length) / groups), Math.floor(((group + 1) * bySpeed.length) / groups));
    return members.reduce((sum, { tally }) => sum + tally.updates, 0) / members.length;
  });
}

function stalenessOf(state: VirtualOutcome['state']): number[] {
  return state.rounds.flatMap(({ round, participants }) => {
    // As of the moment when it counted: what came later does not make it older.
    const until = { rounds: state.rounds.slice(0, round - 1) };
    return [...participants.values()].flatMap(({ outcome, task }) => (outcome.state === 'accepted' ? [task === undefined ? 0 : versionsSince(until, task.round)] : []));
  });
}
