import { describe, expect, it } from 'vitest';
import { demoTasks } from './demo-tasks.ts';
import { simulateEpisode } from './episode.ts';
import { clampToLimits, JOINT_LIMITS, toRecordedUnits, type JointAngles } from './so100.ts';

const LOWER = toRecordedUnits(JOINT_LIMITS.map(({ lower }) => lower) as unknown as JointAngles);
const UPPER = toRecordedUnits(JOINT_LIMITS.map(({ upper }) => upper) as unknown as JointAngles);
const SEEDS = Array.from({ length: 6 }, (_, seed) => `seed-${seed}`);

describe.each(demoTasks)('$name', (task) => {
  const episodes = SEEDS.map((seed) => simulateEpisode(task, seed, 10));

  it('is done in every episode', () => {
    expect(episodes.map(({ success }) => success)).toEqual(SEEDS.map(() => true));
  });

  it('takes 50 to 100 frames and starts and ends at rest', () => {
    for (const { frames } of episodes) {
      expect(frames.length).toBeGreaterThan(50);
      expect(frames.length).toBeLessThan(100);
      const [first, last] = [frames[0]!.state, frames.at(-1)!.state];
      first.forEach((value, joint) => {
        expect(Math.abs(value - last[joint]!)).toBeLessThan(4);
      });
    }
  });

  it('never leaves the limits of a joint and never jumps', () => {
    for (const { frames } of episodes) {
      for (const [index, { state, action }] of frames.entries()) {
        for (const values of [state, action]) {
          values.forEach((value, joint) => {
            expect(value).toBeGreaterThanOrEqual(LOWER[joint]! - 1e-9);
            expect(value).toBeLessThanOrEqual(UPPER[joint]! + 1e-9);
          });
        }
        const before = frames[index - 1]?.state;
        before?.forEach((value, joint) => {
          expect(Math.abs(value - state[joint]!)).toBeLessThan(30);
        });
      }
    }
  });

  it('commands what the arm then does: the state follows the action', () => {
    for (const { frames } of episodes) {
      const squares = (shift: number, joint: number): number =>
        frames
          .slice(1)
          .reduce((sum, { state }, k) => sum + (state[joint]! - frames[k + shift]!.action[joint]!) ** 2, 0);
      for (const joint of [1, 2]) expect(squares(0, joint)).toBeLessThan(squares(1, joint));
    }
  });
});

describe('simulateEpisode', () => {
  it('is fixed by its seed', () => {
    const [task] = demoTasks;
    const [first, again, other] = ['a', 'a', 'b'].map((seed) => JSON.stringify(simulateEpisode(task!, seed, 10)));
    expect(again === first).toBe(true);
    expect(other === first).toBe(false);
  });

  it('is done at other frame rates too', () => {
    for (const [index, task] of demoTasks.entries()) {
      const fps = index % 2 === 0 ? 5 : 30;
      expect(simulateEpisode(task, 'rate', fps).success, `${task.name} at ${fps}`).toBe(true);
    }
  });

  it('carries the thing in the hand and keeps nothing below the table', () => {
    const { frames } = simulateEpisode(
      demoTasks.find(({ name }) => name === 'lift-can')!,
      'a',
      10,
    );
    const heights = frames.map(({ things }) => things[0]!.position[2]);
    expect(Math.max(...heights)).toBeGreaterThan(0.05);
    expect(Math.min(...heights)).toBe(0);
    expect(heights.at(-1)).toBe(0);
  });

  it('leaves clutter where it lies', () => {
    for (const task of demoTasks) {
      const { frames } = simulateEpisode(task, 'clutter', 10);
      expect(frames.at(-1)!.things.slice(1)).toEqual(frames[0]!.things.slice(1));
    }
  });
});

describe('clampToLimits', () => {
  it('moves each angle into its range', () => {
    expect(clampToLimits([9, -9, 0, 0, 0, 9])).toEqual([
      JOINT_LIMITS[0]!.upper,
      JOINT_LIMITS[1]!.lower,
      0,
      0,
      0,
      JOINT_LIMITS[5]!.upper,
    ]);
  });
});
