import { hashParameters, MemoryTensorSource, Random, type FitInstructions, type FitOptions, type FitResult, type Float32Tensor, type OptimizerState, type Parameters, type RobotDataset } from '@zk0/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { relativeError } from '../../test/golden-files.ts';
import { keptOptimizer, valuesOf } from '../../test/kept-optimizer.ts';
import { normalizerOf, syntheticDataset } from '../../test/synthetic-dataset.ts';
import { tinyWorkspace } from '../../test/tiny-policy.ts';
import { NotFiniteError } from '../errors.ts';
import { openPolicy } from '../open-policy.ts';
import type { OpenPolicyOptions, SmolVlaPolicy } from '../policy.ts';

const features = { stateSize: 6, actionSize: 6, cameras: ['observation.images.top', 'observation.images.wrist'] };
const instructions: FitInstructions = { round: 1, seed: 'fit', localSteps: 8, batchSize: 4, learningRate: 5e-3, proximalMu: 0.01 };
/** Uneven on purpose: three runs of three steps for eight. */
const PLACES = [{ training: 'stepwise' }, { training: 'loop', stepsPerRun: 3 }] as const;

let workspace: Awaited<ReturnType<typeof tinyWorkspace>>;
let initial: Parameters;
const policies = new Map<string, Promise<SmolVlaPolicy>>();

beforeAll(async () => {
  workspace = await tinyWorkspace();
  initial = await (await policyWith({ training: 'host' })).initialParameters();
});

afterAll(async () => {
  for (const policy of policies.values()) await (await policy).close();
  await workspace.remove();
});

function policyWith(options: OpenPolicyOptions): Promise<SmolVlaPolicy> {
  const key = JSON.stringify(options);
  const known = policies.get(key);
  const opened =
    known ?? openPolicy(workspace.checkpoint, { device: 'cpu', threads: 1, features, cacheDirectory: workspace.root, ...options });
  policies.set(key, opened);
  return opened;
}

async function fit(options: OpenPolicyOptions, changes: Partial<FitInstructions> = {}, dataset?: RobotDataset, start = initial, more: FitOptions = {}): Promise<FitResult> {
  const recordings = dataset ?? syntheticDataset();
  const learner = (await policyWith(options)).learner(recordings, { normalizer: normalizerOf(syntheticDataset()), cache: 'prefix' });
  try {
    return await learner.fit(start, { ...instructions, ...changes }, more);
  } finally {
    await learner.close();
  }
}

/** Two rounds, the second from the first one's weights and moments. */
async function twoRounds(options: OpenPolicyOptions): Promise<{ readonly parameters: Parameters; readonly kept: readonly { readonly stepsTaken: number; readonly moments: Float32Array }[] }> {
  const kept = [];
  let [parameters, state]: [Parameters, OptimizerState | null] = [initial, null];
  for (const seed of ['first', 'second']) {
    const keeping = keptOptimizer(state);
    ({ parameters } = await fit(options, { seed }, undefined, parameters, { optimizer: keeping }));
    state = keeping.after!;
    kept.push({ stepsTaken: state.stepsTaken, moments: await valuesOf(state.moments) });
  }
  return { parameters, kept };
}

/** Relative difference of the ways that two trainings went. */
function apart(one: Parameters, other: Parameters): number {
  const moved = (parameters: Parameters): Float32Array =>
    Float32Array.from([...initial].flatMap(([name, { data }]) => [...parameters.get(name)!.data].map((value, at) => value - data[at]!)));
  return relativeError(moved(one), moved(other));
}

function flat(parameters: Parameters): Float32Array {
  return Float32Array.from([...initial.keys()].flatMap((name) => [...parameters.get(name)!.data]));
}

/** Random values in the parameters' shapes. */
function scaled(size: number, seed: string): Parameters {
  const random = new Random(seed);
  return new Map([...initial].map(([name, { shape, data }]) => [name, { shape, data: random.fillNormal(new Float32Array(data.length)).map((value) => size * value) }]));
}

/** A dataset whose actions are so large that float16's gradients overflow at the first loss scale. */
function violent(): RobotDataset {
  const dataset = syntheticDataset();
  return {
    ...dataset,
    actionChunk: (frame, length) => {
      const { actions, isPad } = dataset.actionChunk(frame, length);
      return { actions: actions.map((value) => 3e3 * value), isPad };
    },
  };
}

describe.each(PLACES)('training with $training', { timeout: 120_000 }, (place) => {
  it('gives the weights and metrics of training on the host', async () => {
    const [here, host] = [await fit(place), await fit({ training: 'host' })];
    // AdamW divides a gradient by its own size: what is rounding in a gradient near 0 is a visible part of its step.
    expect(apart(here.parameters, host.parameters)).toBeLessThan(1e-3);
    expect(Object.keys(here.metrics)).toEqual(Object.keys(host.metrics));
    for (const [name, value] of Object.entries(host.metrics)) {
      if (name !== 'duration_s') expect(Math.abs(here.metrics[name]! - value), name).toBeLessThanOrEqual(1e-4 * Math.abs(value));
    }
  });

  it('repeats to the byte, from the weights it is given each time', async () => {
    const hashes = [hashParameters((await fit(place)).parameters), hashParameters((await fit(place)).parameters)];
    expect(hashes[1]).toBe(hashes[0]);
  });

  it('does without the proximal term', async () => {
    const [here, host] = [await fit(place, { proximalMu: 0 }), await fit({ training: 'host' }, { proximalMu: 0 })];
    expect(here.metrics['fedprox_loss']).toBe(0);
    expect(apart(here.parameters, host.parameters)).toBeLessThan(1e-3);
  });

  it('corrects gradients, and finds their mean without the correction', async () => {
    const correction = MemoryTensorSource.fromParameters(scaled(1e-3, 'correction'));
    const [here, host] = [await fit(place, {}, undefined, initial, { correction }), await fit({ training: 'host' }, {}, undefined, initial, { correction })];
    expect(apart(here.parameters, host.parameters)).toBeLessThan(1e-3);
    expect(relativeError(flat(here.meanGradient!), flat(host.meanGradient!))).toBeLessThan(1e-3);
    expect(apart(host.parameters, (await fit({ training: 'host' })).parameters)).toBeGreaterThan(0.1);
  });

  it('goes on from kept moments as the host does, and repeats to the byte', async () => {
    const [here, host] = [await twoRounds(place), await twoRounds({ training: 'host' })];
    // Rounds of 8 steps each: moments of 8 steps, whatever the runs of the device are.
    expect(here.kept.map(({ stepsTaken }) => stepsTaken)).toEqual([8, 16]);
    expect(here.kept.map(({ moments }) => moments.length)).toEqual(host.kept.map(({ moments }) => moments.length));
    here.kept.forEach(({ moments }, round) => {
      expect(relativeError(moments, host.kept[round]!.moments)).toBeLessThan(1e-3);
    });
    expect(apart(here.parameters, host.parameters)).toBeLessThan(1e-3);
    expect(hashParameters((await twoRounds(place)).parameters)).toBe(hashParameters(here.parameters));
  });

  it('names step and tensor of what is not finite, with the last good weights', async () => {
    const [name, { shape, data }] = [...initial].find(([key]) => key.endsWith('action_out_proj.weight'))!;
    const broken: Parameters = new Map([...initial, [name, { shape, data: data.map(() => NaN) }]]);
    const failure = await fit(place, {}, undefined, broken).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(NotFiniteError);
    expect(failure).toMatchObject({ step: 0, tensor: 'loss' });
    expect(hashParameters((failure as NotFiniteError).lastGood)).toBe(hashParameters(broken));
  });

  it('names a gradient where the loss still was finite', async () => {
    // Errors of 1e18 are squared within float32; what they become behind weights of 1e10 is not.
    const far = [...initial].map(([name, { shape, data }]): [string, Float32Tensor] => {
      if (name.endsWith('action_out_proj.bias')) return [name, { shape, data: data.map(() => 1e18) }];
      return [name, { shape, data: name.endsWith('action_out_proj.weight') ? data.map((value) => 1e10 * value) : data }];
    });
    const failure = await fit(place, {}, undefined, new Map(far)).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'NOT_FINITE', step: 0, tensor: expect.stringMatching(/^gradient\//) as string });
    expect(hashParameters((failure as NotFiniteError).lastGood)).toBe(hashParameters(new Map(far)));
  });

  it('stops between steps when asked to', async () => {
    const controller = new AbortController();
    const learner = (await policyWith(place)).learner(syntheticDataset(), { normalizer: normalizerOf(syntheticDataset()), cache: 'off' });
    const steps: number[] = [];
    const running = learner.fit(initial, { ...instructions, localSteps: 60 }, {
      signal: controller.signal,
      onProgress: ({ step }) => {
        steps.push(step);
        if (step === 3) controller.abort();
      },
    });
    await expect(running).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(steps.length).toBeLessThan(7);
    await learner.close();
  });

  it('follows float32 in float16 for tens of steps', async () => {
    const changes = { localSteps: 30, batchSize: 8 };
    const samples = { seed: 'held-out', batches: 4, batchSize: 8 };
    const learner = (await policyWith({ training: 'host' })).learner(syntheticDataset(), { normalizer: normalizerOf(syntheticDataset()), cache: 'prefix' });
    const before = await learner.evaluate(initial, samples);
    const [half, whole] = [await fit({ ...place, precision: 'float16' }, changes), await fit({ training: 'host' }, changes)];
    const [ours, theirs] = [await learner.evaluate(half.parameters, samples), await learner.evaluate(whole.parameters, samples)];
    await learner.close();
    expect(theirs.loss).toBeLessThan(0.8 * before.loss);
    expect(Math.abs(ours.loss - theirs.loss)).toBeLessThan(0.02 * theirs.loss);
    expect(half.metrics['num_skipped_steps']).toBe(0);
  });

  it('keeps the weights in a round with a learning rate of 0, and finds the mean gradient all the same', async () => {
    const still = { localSteps: 4, learningRate: 0, proximalMu: 0 };
    const { parameters, metrics } = await fit(place, still);
    expect(hashParameters(parameters)).toBe(hashParameters(initial));
    expect(metrics).toMatchObject({ lr: 0, param_update_norm: 0 });
    const correction = MemoryTensorSource.fromParameters(scaled(0, 'none'));
    const corrected = await fit(place, still, undefined, initial, { correction });
    expect(hashParameters(corrected.parameters)).toBe(hashParameters(initial));
    const host = await fit({ training: 'host' }, still, undefined, initial, { correction: MemoryTensorSource.fromParameters(scaled(0, 'none')) });
    expect(relativeError(flat(corrected.meanGradient!), flat(host.meanGradient!))).toBeLessThan(1e-4);
  });

  it('reports a float16 round without one applied step in finite figures', async () => {
    // The gradients of this seed's first batch overflow.
    const { parameters, metrics } = await fit({ ...place, precision: 'float16' }, { localSteps: 1, seed: 'b', learningRate: 1e-3 }, violent());
    expect(metrics).toMatchObject({ num_steps: 1, num_skipped_steps: 1, param_update_norm: 0 });
    expect(metrics).not.toHaveProperty('grad_norm');
    for (const value of Object.values(metrics)) expect(Number.isFinite(value)).toBe(true);
    expect(hashParameters(parameters)).toBe(hashParameters(initial));
  });

  it('leaves out steps whose float16 gradients overflow, and finds the scale that they fit', async () => {
    const { parameters, metrics } = await fit({ ...place, precision: 'float16' }, { localSteps: 24, learningRate: 1e-3 }, violent());
    expect(metrics['num_skipped_steps']).toBeGreaterThan(0);
    expect(metrics['num_skipped_steps']).toBeLessThan(20);
    for (const [name, { data }] of parameters) expect(data.every(Number.isFinite), name).toBe(true);
    expect(metrics['param_update_norm']).toBeGreaterThan(0);
    expect(Number.isFinite(metrics['grad_norm'])).toBe(true);
  });
});

describe('a precision', () => {
  it('that the device cannot compute in is refused by name', async () => {
    await expect(openPolicy(workspace.checkpoint, { device: 'cpu', precision: 'bfloat16' })).rejects.toMatchObject({
      code: 'PRECISION_UNAVAILABLE',
      message: expect.stringMatching(/device cpu cannot compute in bfloat16/) as string,
    });
  });

  it('that there is not is refused with those there are', async () => {
    await expect(openPolicy(workspace.checkpoint, { device: 'cpu', precision: 'int4' })).rejects.toThrow(/auto, float32, float16, bfloat16/);
  });
});
