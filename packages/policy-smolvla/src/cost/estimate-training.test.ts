import { describe, expect, it } from 'vitest';
import { FULL } from '../../bench/full-model.ts';
import { policyConfigSchema } from '../config/policy-config.ts';
import { resolveConfig } from '../config/resolve-config.ts';
import { vlmConfigSchema } from '../config/vlm-config.ts';
import { estimateTraining, secondsOfTraining } from './estimate-training.ts';

const json = policyConfigSchema.parse({ ...FULL.policy, vlm_model_name: 'vlm' });
const full = resolveConfig(json, vlmConfigSchema.parse(FULL.vlm(49280)), { fakeImageTokenId: 0, globalImageTokenId: 0 }).model;
const step = { steps: 1, batchSize: 8, frames: 0, cameras: 2 };
/** Of the machine on which the seconds below were measured (README, "Full size"). */
const RATE = 158e9;

describe('what training takes', () => {
  it('comes near what was measured at full size', () => {
    expect(secondsOfTraining(full, step, RATE, 2)).toBeCloseTo(3.95, 0);
    expect(secondsOfTraining(full, { ...step, steps: 0, frames: 1 }, RATE, 2)).toBeCloseTo(3.25, 0);
    expect(secondsOfTraining({ ...full, trainExpertOnly: false }, step, RATE, 2)).toBeGreaterThan(60);
  });

  it('grows with steps, samples and frames, and falls with the rate', () => {
    const seconds = (change: Partial<typeof step>, rate = RATE): number => secondsOfTraining(full, { ...step, ...change }, rate, 2);
    expect(seconds({ steps: 100 })).toBeCloseTo(100 * seconds({}), 6);
    expect(seconds({ batchSize: 16 })).toBeGreaterThan(seconds({}));
    expect(seconds({ frames: 10 })).toBeGreaterThan(seconds({}));
    expect(seconds({}, RATE / 2)).toBeGreaterThan(seconds({}));
  });

  it('is found for this machine by measuring it', async () => {
    const seconds = await estimateTraining(full, step, 1);
    expect(seconds).toBeGreaterThan(0.1);
    expect(seconds).toBeLessThan(600);
    expect(await estimateTraining(full, step, 1, 1e4)).toBeNull();
  });
});
