import { describe, expect, it } from 'vitest';
import { describeTrainingCost } from './training-cost.ts';

describe('the cost of a training', () => {
  it('is said beside what the recipe takes', () => {
    expect(describeTrainingCost(12_000, 1200, 8)).toBe(
      "about 3 h 20 min of training on this processor: 1200 steps of 8 samples, 0.8 % of what SmolVLA's recipe trains on 50 episodes (20000 steps of 64)",
    );
    expect(describeTrainingCost(1e6, 20_000, 64)).toContain(' 100 % of what');
  });
});
