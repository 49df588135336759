import { describe, expect, it } from 'vitest';
import { model, updates } from '../../test/arrays.ts';
import { aggregateParameters, createStrategy, privateMetrics, privateReport, publicMoments } from '../index.ts';

/** What a client of zk0 reports after a round. */
const report = {
  loss: 0.4,
  policy_loss: 0.3,
  fedprox_loss: 0.1,
  grad_norm: 2,
  num_steps: 20,
  num_skipped_steps: 1,
  num_corrupt_frames: 3,
  num_examples: 1234,
  param_update_norm: 0.5,
  lr: 1e-4,
  mu: 0.01,
  duration_s: 3.5,
};

describe('what a client reports under privacy', () => {
  it('is only what follows from its instructions', () => {
    expect(privateMetrics(report)).toEqual({ num_steps: 20, lr: 1e-4, mu: 0.01 });
    expect(privateReport({ numExamples: 1234, metrics: report })).toEqual({ numExamples: 1, metrics: privateMetrics(report) });
  });

  it('is all that the server averages, whatever clients send, and all weigh the same', async () => {
    const sent = updates([model(1), 1_000_000], [model(3), 1]).map((update, index) => ({ ...update, metrics: { ...report, lr: index } }));
    const dp = createStrategy({ name: 'dp-fixed', noiseMultiplier: 0, clippingNorm: 10 });
    expect(dp.isPrivate).toBe(true);
    const { metrics } = await aggregateParameters(dp, { global: model(0), updates: sent });
    expect(metrics).toEqual({ num_steps: 40, lr: 0.5, mu: 0.01, num_clients: 2, param_update_norm: 2, dp_noise_multiplier: 0, dp_clipping_norm: 10 });
    const plain = createStrategy({ name: 'fedavg' });
    expect(plain.isPrivate).toBe(false);
    expect((await aggregateParameters(plain, { global: model(0), updates: sent })).metrics['loss']).toBeCloseTo(0.4, 12);
  });

  it('has moments of public ranges in place of the recordings’', () => {
    const { mean, m2, count, min, max } = publicMoments([{ low: -100, high: 100 }, { low: 0, high: 12 }]);
    expect([mean, min, max]).toEqual([[0, 6], [-100, 0], [100, 12]]);
    expect(m2.map((value) => value / count)).toEqual([200 ** 2 / 12, 12]);
  });
});
