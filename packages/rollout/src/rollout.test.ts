import { Random, type ActOutcome, type TrialFailure, type World, type WorldObservation } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import { blindReplay, motionless } from './baselines.ts';
import { formatRate } from './report.ts';
import { rollout } from './rollout.ts';
import type { Controller } from './trial.ts';

/** A point on a line that has to be brought to a goal, which lies elsewhere in every trial. */
class Line implements World {
  readonly info;
  position = 0;
  goal = 0;

  constructor(place?: string) {
    this.info = {
      name: 'line',
      ...(place === undefined ? {} : { place }),
      task: 'go to the goal',
      robotType: 'point',
      fps: 10,
      maxSteps: 20,
      stateNames: ['x', 'goal'],
      actionNames: ['x'],
      cameras: [],
    };
  }

  reset(seed: string): void {
    this.position = 0;
    this.goal = 5 + new Random(seed).below(5);
  }

  observe(): WorldObservation {
    return { state: [this.position, this.goal], images: {}, task: this.info.task };
  }

  act(action: ArrayLike<number>): ActOutcome {
    const step = Math.min(1, Math.max(-1, action[0]! - this.position));
    this.position += step;
    return { clamped: Math.abs(action[0]!) > 100 };
  }

  success(): boolean {
    return this.position === this.goal;
  }

  failure(): TrialFailure {
    return this.position === 0 ? 'not-reached' : 'timed-out';
  }

  close(): void {
    // Nothing is held.
  }
}

const seeing: Controller = () => ({ state }) => [state[1]!];

describe('rollout', () => {
  it('counts successes by place, with the time they took', async () => {
    const report = await rollout({ worlds: [new Line('left'), new Line('right')], controller: seeing, trials: 10, seed: 1 });
    expect(report).toMatchObject({ successes: 10, trials: 10, requested: 10, rate: 1, high: 1, failures: {}, clampedShare: 0 });
    expect(report.low).toBeCloseTo(0.7225, 4);
    expect(report.places.map(({ place, trials }) => [place, trials])).toEqual([['left', 5], ['right', 5]]);
    const seconds = report.results.map((trial) => trial.seconds).sort((a, b) => a - b);
    expect(report.secondsToSuccess).toBeCloseTo((seconds[4]! + seconds[5]!) / 2, 12);
  });

  it('says how trials failed', async () => {
    const run = async (controller: Controller): ReturnType<typeof rollout> => rollout({ worlds: [new Line()], controller, trials: 4, seed: 1 });
    expect(await run(motionless)).toMatchObject({ successes: 0, failures: { 'not-reached': 4 }, secondsToSuccess: null });
    expect(await run(() => () => [3])).toMatchObject({ successes: 0, failures: { 'timed-out': 4 } });
    const broken = await run(() => () => [NaN]);
    expect(broken.failures).toEqual({ 'not-finite': 4 });
    expect(broken.results[0]).toMatchObject({ steps: 0, success: false });
    expect(await run(() => ({ state }) => [state[0]! < 2 ? 1e3 : state[1]!])).toMatchObject({ successes: 4, clampedShare: expect.closeTo(0.29, 1) as number });
  });

  it('has the mean score where a task has parts', async () => {
    class Parts extends Line {
      score(): number {
        return Math.min(1, this.position / 4);
      }
    }
    const half = await rollout({ worlds: [new Parts()], controller: () => () => [2], trials: 3, seed: 1 });
    expect(half).toMatchObject({ meanScore: 0.5, places: [{ meanScore: 0.5 }], results: [{ score: 0.5 }, { score: 0.5 }, { score: 0.5 }] });
    // Worlds without a score are left out of the mean.
    expect(await rollout({ worlds: [new Parts(), new Line()], controller: seeing, trials: 4, seed: 1 })).toMatchObject({ meanScore: 1 });
    const none = await rollout({ worlds: [new Line()], controller: seeing, trials: 1, seed: 1 });
    expect([none.meanScore, none.results[0]!.score]).toEqual([undefined, undefined]);
  });

  it('tries every policy in the same situations, which the seed fixes', async () => {
    const goals = async (seed: number, controller: Controller): Promise<number[]> => {
      const seen: number[] = [];
      const worlds = [new Line()];
      await rollout({ worlds, controller, trials: 8, seed, onTrial: () => void seen.push(worlds[0]!.goal) });
      return seen;
    };
    const first = await goals(1, seeing);
    expect(await goals(1, motionless)).toEqual(first);
    expect(await goals(2, seeing)).not.toEqual(first);
  });

  it('plays recordings back, and stops where one ends', async () => {
    const recordings = [5, 6, 7, 8, 9].map((goal) => Array.from({ length: goal }, () => [goal]));
    const report = await rollout({ worlds: [new Line()], controller: blindReplay(recordings), trials: 100, seed: 1 });
    // A recording also passes the goals that are nearer than its own: 15 of 25 pairs.
    expect(report.successes).toBeGreaterThan(40);
    expect(report.successes).toBeLessThan(80);
    expect(() => blindReplay([])).toThrow('at least one recording');
  });

  it('keeps the finished trials when it is stopped in the middle of one', async () => {
    const stop = new AbortController();
    const report = await rollout({
      worlds: [new Line()],
      controller: seeing,
      trials: 10,
      seed: 1,
      signal: stop.signal,
      onFrame: (index, _, { state }) => {
        if (index === 3 && state[0]! === 2) stop.abort();
      },
    });
    expect(report).toMatchObject({ trials: 3, requested: 10, successes: 3 });
  });

  it('runs trials side by side, one in each world, and asks for their actions in one turn', async () => {
    const places = ['left', 'right'];
    const alone = await rollout({ worlds: places.map((place) => new Line(place)), controller: seeing, trials: 11, seed: 1 });
    let asked = 0;
    const batches: number[] = [];
    const together: Controller = () => async ({ state }) => {
      if (asked++ === 0) queueMicrotask(() => { batches.push(asked); asked = 0; });
      await Promise.resolve();
      return [state[1]!];
    };
    const worlds = [0, 1, 2].flatMap(() => places.map((place) => new Line(place)));
    const seen: number[] = [];
    const report = await rollout({ worlds, controller: together, trials: 11, seed: 1, onTrial: ({ index }) => void seen.push(index) });
    expect(report).toEqual(alone);
    expect(Math.max(...batches)).toBe(6);
    expect(seen).not.toEqual(seen.toSorted((a, b) => a - b));
  });

  it('shows chosen trials again', async () => {
    const all = await rollout({ worlds: [new Line('left'), new Line('right')], controller: seeing, trials: 9, seed: 1 });
    const again = await rollout({ worlds: [new Line('left'), new Line('right')], controller: seeing, trials: 9, seed: 1, only: [2, 7] });
    expect(again.results).toEqual([all.results[2], all.results[7]]);
  });

  it.each([0, 1.5, -1, NaN])('refuses %d trials', async (trials) => {
    await expect(rollout({ worlds: [new Line()], controller: seeing, trials, seed: 1 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('formatRate', () => {
  it('rounds to whole percent', () => {
    expect(formatRate({ rate: 101 / 120, low: 0.763, high: 0.897 })).toBe('84 % (76 – 90)');
  });
});
