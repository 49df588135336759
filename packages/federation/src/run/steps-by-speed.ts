import type { RunState } from '@zk0/core';
import { assignmentSchema } from './instructions.ts';

/** Tasks of a client that its speed is taken from: the newest so many. One that took long for once does not decide. */
const TASKS = 3;
const fitSchema = assignmentSchema.shape.fit;

/** What steps by speed are planned from. */
export interface StepsBySpeedOptions {
  /** Everybody who could be asked. */
  readonly clientIds: readonly string[];
  /** What all do in the mean. */
  readonly localSteps: number;
  /** At most so many times as many steps, or as few. */
  readonly bound: number;
}

/**
 * How many steps each client makes, so that all take the same time: in proportion to the steps a second that its last tasks came to, as
 * the ledger has them, transfers included. Together the measured clients do as much as with `localSteps` each, so nobody is asked less
 * because others are slow. A client that has not been measured makes `localSteps`.
 *
 * A client whose transfers take most of its time comes close to the others over a few tasks: each time it answers sooner than the rest, it
 * gets more steps.
 */
export function stepsBySpeed(state: Pick<RunState, 'rounds'>, { clientIds, localSteps, bound }: StepsBySpeedOptions): ReadonlyMap<string, number> {
  const speeds = measuredSpeeds(state, clientIds);
  const total = [...speeds.values()].reduce((sum, speed) => sum + speed, 0);
  const seconds = (localSteps * speeds.size) / total;
  const [least, most] = [Math.max(1, Math.ceil(localSteps / bound)), Math.max(1, Math.floor(localSteps * bound))];
  return new Map(clientIds.map((clientId) => {
    const speed = speeds.get(clientId);
    return [clientId, speed === undefined ? localSteps : Math.min(most, Math.max(least, Math.round(speed * seconds)))];
  }));
}

/** Steps a second of those who have answered: the median of their last tasks. */
function measuredSpeeds({ rounds }: Pick<RunState, 'rounds'>, clientIds: readonly string[]): ReadonlyMap<string, number> {
  const measures = new Map<string, number[]>(clientIds.map((clientId) => [clientId, []]));
  let missing = measures.size * TASKS;
  for (let index = rounds.length - 1; index >= 0 && missing > 0; index--) {
    for (const [clientId, { instructions, outcome }] of rounds[index]!.participants) {
      const known = measures.get(clientId);
      if (known === undefined || known.length === TASKS || outcome.state !== 'accepted' || outcome.seconds === undefined) continue;
      // Nothing takes no time: what is below a millisecond is not measured.
      known.push(fitSchema.parse(instructions['fit']).localSteps / Math.max(outcome.seconds, 1e-3));
      missing--;
    }
  }
  return new Map([...measures].flatMap(([clientId, speeds]) => (speeds.length === 0 ? [] : [[clientId, median(speeds)] as const])));
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
