import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryTensorSource, type FitOptions, type Parameters, type StepProgress } from '@zk0/core';
import type { LocalModel, LocalTask } from '@zk0/federation';
import { localPrivacySpent } from '@zk0/strategy';
import { afterAll, describe, expect, it } from 'vitest';
import { LOCAL_DELTA, LocallyPrivateModel, parseLocalPrivacy } from './local-privacy.ts';

const root = mkdtempSync(join(tmpdir(), 'zk0-local-privacy-'));
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

const SIZE = 1000;
const filled = (value: number): Parameters => new Map([['w', { shape: [SIZE], data: new Float32Array(SIZE).fill(value) }]]);
const global = filled(0);
const task = (round: number): LocalTask =>
  ({ runId: 'r', context: {}, fit: { round, seed: 's', localSteps: 1, batchSize: 1, learningRate: 1, proximalMu: 0 } });

/** A node of its own, whose training ends at `value`. */
function node(folder: string, value = 100, noiseMultiplier = 2): { readonly fit: (round: number, options?: FitOptions) => Promise<Float32Array>; readonly said: string[] } {
  const directory = mkdtempSync(join(root, folder));
  return open(directory, value, noiseMultiplier);
}

function open(directory: string, value: number, noiseMultiplier: number): ReturnType<typeof node> & { readonly directory: string } {
  const said: string[] = [];
  const inner: LocalModel = {
    profile: () => ({}),
    fit: (_task, _global, { onProgress }) => {
      onProgress?.({ phase: 'training', step: 1, totalSteps: 1, loss: 0.123 });
      return Promise.resolve({ parameters: filled(value), numExamples: 7, metrics: { loss: 0.123 } });
    },
  };
  const model = new LocallyPrivateModel(inner, { clippingNorm: 1, noiseMultiplier }, directory, (line) => said.push(line));
  const fit = async (round: number, options: FitOptions = {}): Promise<Float32Array> => {
    const result = await model.fit(task(round), global, options);
    expect(result).toMatchObject({ numExamples: 7, metrics: {} });
    return result.parameters.get('w')!.data;
  };
  return { fit, said, directory };
}

describe('a locally private model', () => {
  it('lets nothing out but clipped parameters with noise', async () => {
    const progress: StepProgress[] = [];
    const values = await node('one').fit(1, { onProgress: (each) => progress.push(each) });
    const mean = values.reduce((sum, each) => sum + each, 0) / SIZE;
    const deviation = Math.sqrt(values.reduce((sum, each) => sum + (each - mean) ** 2, 0) / SIZE);
    // The update has length 1, so each of its values is 1/√1000; unclipped they would be 100.
    expect(Math.abs(mean - 1 / Math.sqrt(SIZE))).toBeLessThan(0.3);
    expect(deviation).toBeGreaterThan(1.8);
    expect(deviation).toBeLessThan(2.2);
    expect(progress).toEqual([{ phase: 'training', step: 1, totalSteps: 1 }]);
  });

  it('refuses a run of factors before it trains, and never lets factors out', async () => {
    const factors = filled(3);
    let trained = 0;
    const inner: LocalModel = { profile: () => ({}), fit: () => (trained++, Promise.resolve({ parameters: filled(1), factors, numExamples: 7, metrics: {} })) };
    const model = new LocallyPrivateModel(inner, { clippingNorm: 1, noiseMultiplier: 2 }, mkdtempSync(join(root, 'lora')), () => undefined);
    const context = {
      policy: { source: 'small', baseHash: '0'.repeat(64), lora: { rank: 16, alpha: 16 } },
      features: { stateSize: 1, actionSize: 1, cameras: ['top'] },
      normalizer: { state: { mean: [0], std: [1] }, action: { mean: [0], std: [1] } },
    };
    await expect(model.fit({ ...task(1), context }, global, {})).rejects.toMatchObject({ code: 'TASK_REFUSED', message: expect.stringMatching(/factors of low rank/) as string });
    expect(trained).toBe(0);
    expect(await model.fit(task(1), global, {})).not.toHaveProperty('factors');
  });

  it('adds the same noise to the same update after a crash, and another one to everything else', async () => {
    const first = open(mkdtempSync(join(root, 'two')), 100, 2);
    const values = await first.fit(1);
    const again = open(first.directory, 100, 2);
    expect(await again.fit(1)).toEqual(values);
    expect(await again.fit(2)).not.toEqual(values);
    const trainedOtherwise = open(first.directory, 99, 2);
    // Both are clipped to the same length and direction: only the noise can differ.
    expect(await trainedOtherwise.fit(1)).not.toEqual(values);
    expect(await node('three').fit(1)).not.toEqual(values);
    expect(statSync(join(first.directory, 'local-privacy.json')).mode & 0o077).toBe(0);
  });

  it('says what has been spent, over restarts and other noise, and counts a repeated update once', async () => {
    const first = open(mkdtempSync(join(root, 'four')), 100, 2);
    await first.fit(1);
    await first.fit(1);
    await first.fit(2);
    const spent = (rounds: number): string => localPrivacySpent({ noiseMultiplier: 2, rounds }, LOCAL_DELTA).toPrecision(3);
    expect(first.said).toEqual([
      `local privacy: ε ${spent(1)} (δ 0.00001) after 1 update of this node`,
      `local privacy: ε ${spent(1)} (δ 0.00001) after 1 update of this node`,
      `local privacy: ε ${spent(2)} (δ 0.00001) after 2 updates of this node`,
    ]);
    const later = open(first.directory, 100, 1);
    await later.fit(3);
    const [, epsilon] = /ε ([\d.]+) .* after 3 updates/.exec(later.said[0]!)!;
    // More than two updates with z = 2 and less than three with z = 1.
    expect(Number(epsilon)).toBeGreaterThan(Number(spent(2)));
    expect(Number(epsilon)).toBeLessThan(localPrivacySpent({ noiseMultiplier: 1, rounds: 3 }, LOCAL_DELTA));
  });

  it('refuses what would let more out', async () => {
    const correction = MemoryTensorSource.fromParameters(global);
    await expect(node('five').fit(1, { correction })).rejects.toMatchObject({ code: 'TASK_REFUSED' });
  });
});

it.each([
  [1, undefined, '--local-noise is missing'],
  [undefined, 1, '--local-clip is missing'],
  [0, 1, '--local-clip 0 is no positive number'],
  [1, Number.NaN, '--local-noise NaN is no positive number'],
])('--local-clip %s and --local-noise %s: %s', (clip, noise, message) => {
  expect(() => parseLocalPrivacy(clip, noise)).toThrow(message);
});

it('without the flags there is no local privacy', () => {
  expect(parseLocalPrivacy(undefined, undefined)).toBeUndefined();
  expect(parseLocalPrivacy(1, 2)).toEqual({ clippingNorm: 1, noiseMultiplier: 2 });
});
