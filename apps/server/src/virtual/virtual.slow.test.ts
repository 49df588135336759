import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Random, type RunConfigInput } from '@zk0/core';
import { afterAll, describe, expect, it } from 'vitest';
import { distributionSchema, draw, medianOf } from './distributions.ts';
import { drawClients, fleetSchema } from './fleet.ts';
import { QuadraticProblem } from './quadratic.ts';
import { runVirtual } from './run-virtual.ts';
import { virtualSchema, virtualSettings } from './settings.ts';
import { jainIndex, summarize, type VirtualSummary } from './summarize.ts';
import { virtualChart } from './virtual-chart.ts';

const scratch = mkdtempSync(join(tmpdir(), 'zk0-virtual-test-'));
afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

type Input = RunConfigInput & { readonly virtual?: object };

async function simulated(clients: number, input: Input): Promise<VirtualSummary> {
  const { config, fleet } = virtualSettings(clients, virtualSchema.parse(input));
  return summarize('x', await runVirtual({ clients, config, fleet, scratchDirectory: scratch }), {});
}

const small = { dimensions: 10 };
const still = { problem: small, dropout: 0, megabytesDown: 0, megabytesUp: 0 };

describe('a simulation of virtual clients', () => {
  const flaky: Input = { rounds: 4, localSteps: 20, fraction: 0.5, virtual: { problem: small, dropout: 0.2 } };

  it.each([
    ['rounds', flaky],
    ['a buffer', { ...flaky, strategy: { name: 'fedbuff', bufferSize: 4 }, localStepsBySpeed: 4 }],
  ])('of %s comes to the same bytes with the same seed, and to others with another', async (_, input) => {
    const first = await simulated(20, input);
    expect(JSON.stringify(await simulated(20, input))).toBe(JSON.stringify(first));
    expect((await simulated(20, { ...input, seed: 7 })).parameters).not.toBe(first.parameters);
    expect(first).toMatchObject({ phase: 'finished', rounds: 4 });
    expect(first.losses.at(-1)!.loss).toBeLessThan(first.losses[0]!.loss / 2);
    expect(first.vanished).toBeGreaterThan(0);
    expect(Object.values(first.time).reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 10);
  });

  it('books every update once: what counted is what the engine counted', async () => {
    const { losses, fairness, bytes, time } = await simulated(12, { rounds: 3, localSteps: 5, overSelection: 0.5, fraction: 0.5, minClients: 6, virtual: { ...still, megabytesUp: 1 } });
    expect(losses.at(-1)!.updates).toBe(3 * 6);
    // Nine are asked, six are wanted: the others are called off, or come too late.
    expect(bytes.up / 1e6).toBeGreaterThanOrEqual(18);
    expect(time.wasted).toBeGreaterThan(0);
    expect(fairness.updates.most).toBeLessThanOrEqual(3);
  });

  it('waits for nobody who has vanished longer than the round’s deadline', async () => {
    const gone: Input = { rounds: 2, localSteps: 10, minClients: 2, roundDeadlineSeconds: 500, virtual: { ...still, dropout: 0.3, awaySeconds: { constant: 1e6 }, stepsPerSecond: { constant: 1 } } };
    const { phase, seconds, time } = await simulated(20, gone);
    expect(phase).toBe('finished');
    expect(seconds).toBeGreaterThanOrEqual(500);
    expect(seconds).toBeLessThan(1100);
    expect(time.away).toBeGreaterThan(0.2);
  });
});

describe('a tenfold spread of speeds', () => {
  const clients = 20;
  const spread = { ...still, stepsPerSecond: { uniform: [0.1, 1] } };
  const traits = drawClients(fleetSchema.parse(spread), clients, 42);
  const equal = { ...still, stepsPerSecond: { constant: traits.reduce((sum, { stepsPerSecond }) => sum + stepsPerSecond, 0) / clients } };
  const initial = new QuadraticProblem(fleetSchema.parse(spread).problem, traits.map(({ examples }) => examples), 42).excess(new Float32Array(10));
  const until = { localSteps: 20, stopWhen: `heldOutLoss<=${initial / 100}` };
  const rounds: Input = { ...until, rounds: 60, strategy: { name: 'fedavg' } };
  const buffer: Input = { ...until, rounds: 120, strategy: { name: 'fedbuff', bufferSize: 8 } };
  /** Virtual seconds until a hundredth of the initial loss is left, by those of equal clients with the same total speed. */
  const cost = (uneven: VirtualSummary, even: VirtualSummary): number => uneven.secondsTo['0.01']! / even.secondsTo['0.01']!;

  it('costs plain rounds more than 2.5 times the time, a buffer and steps by speed at most 1.2 times, and every client has its part', async () => {
    const even = await simulated(clients, { ...rounds, virtual: equal });
    expect(cost(await simulated(clients, { ...rounds, virtual: spread }), even)).toBeGreaterThan(2.5);
    const bySpeed = await simulated(clients, { ...rounds, localStepsBySpeed: 10, virtual: spread });
    expect(cost(bySpeed, even)).toBeLessThanOrEqual(1.2);
    expect(bySpeed.fairness.jainUpdates).toBe(1);
    const buffered = await simulated(clients, { ...buffer, virtual: spread });
    expect(cost(buffered, await simulated(clients, { ...buffer, virtual: equal }))).toBeLessThanOrEqual(1.2);
    expect(buffered.fairness.never).toBe(0);
    expect(buffered.staleness.most).toBeGreaterThan(0);
    const both = await simulated(clients, { ...buffer, localStepsBySpeed: 10, virtual: spread });
    expect(both.fairness.jainUpdates).toBeGreaterThan(buffered.fairness.jainUpdates);
  });
});

describe('the problem', () => {
  const problem = new QuadraticProblem({ dimensions: 3, condition: 10, heterogeneity: 1, noise: 0 }, [1, 2, 5], 1);
  const fit = { round: 1, seed: 's', localSteps: 7, batchSize: 1, learningRate: 0.1, proximalMu: 0.3 };

  it('has a known optimum, above which every other point lies', () => {
    const random = new Random('w');
    for (let trial = 0; trial < 20; trial++) expect(problem.loss(Array.from({ length: 3 }, () => 1 + random.normal()))).toBeGreaterThan(problem.optimum);
    expect(problem.excess([0, 0, 0])).toBeGreaterThan(0);
  });

  it('trains at once as step by step, and its noise has the spread of steps', () => {
    const global = Float32Array.from([0.5, -1, 2]);
    let w: Float32Array = global;
    for (let step = 0; step < 7; step++) {
      // One step from w, with the proximal term towards where the round began: what is left out of one step's own term.
      const one = problem.train(2, w, { ...fit, localSteps: 1 }, new Random(0)).w;
      w = one.map((value, j) => value - fit.learningRate * fit.proximalMu * (w[j]! - global[j]!));
    }
    const once = problem.train(2, global, fit, new Random(0)).w;
    for (const [j, value] of once.entries()) expect(value).toBeCloseTo(w[j]!, 5);

    const noisy = new QuadraticProblem({ dimensions: 1, condition: 1, heterogeneity: 0, noise: 0.5 }, [1], 1);
    const random = new Random('noise');
    const plain = { ...fit, proximalMu: 0 };
    const spreadOf = (draws: () => number): number => {
      const values = Array.from({ length: 4000 }, draws);
      const mean = values.reduce((sum, value) => sum + value / values.length, 0);
      return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2 / values.length, 0));
    };
    const stepwise = spreadOf(() => {
      let at: Float32Array = Float32Array.from([0]);
      for (let step = 0; step < 7; step++) at = noisy.train(0, at, { ...plain, localSteps: 1 }, random).w;
      return at[0]!;
    });
    expect(spreadOf(() => noisy.train(0, Float32Array.from([0]), plain, random).w[0]!) / stepwise).toBeCloseTo(1, 1);
  });
});

describe('what clients are drawn from', () => {
  it.each([{ constant: 3 }, { uniform: [1, 5] }, { logUniform: [0.1, 10] }, { lognormal: { median: 2, sigma: 1 } }])('%j has the median that it says, and only positive values', (input) => {
    const distribution = distributionSchema.parse(input);
    const random = new Random('draws');
    const values = Array.from({ length: 2001 }, () => draw(distribution, random)).sort((a, b) => a - b);
    expect(values[0]).toBeGreaterThan(0);
    expect(values[1000]! / medianOf(distribution)).toBeGreaterThan(0.85);
    expect(values[1000]! / medianOf(distribution)).toBeLessThan(1.15);
  });

  it('refuses what is no distribution', () => {
    for (const input of [{}, { constant: 0 }, { uniform: [2, 1] }, { constant: 1, uniform: [1, 2] }, 3]) expect(distributionSchema.safeParse(input).success).toBe(false);
  });

  it('gives the same clients, one quantity independent of the others', () => {
    const [fleet, faster] = [fleetSchema.parse({}), fleetSchema.parse({ stepsPerSecond: { constant: 9 } })];
    expect(drawClients(fleet, 3, 1)).toEqual(drawClients(fleet, 3, 1));
    expect(drawClients(faster, 3, 1).map(({ upRate }) => upRate)).toEqual(drawClients(fleet, 3, 1).map(({ upRate }) => upRate));
  });
});

describe('settings', () => {
  it.each([
    [{ strategy: { name: 'dp-fixed', noiseMultiplier: 1, clippingNorm: 1 } }, 'strategy dp-fixed has no effect on virtual clients'],
    [{ strategy: { name: 'scaffold' } }, 'strategy scaffold has no effect'],
    [{ updateEncoding: 'int8' as const }, 'virtual.megabytesUp'],
    [{ secureAggregation: true }, 'secureAggregation has no effect'],
    [{ heldOut: ['demo:x'] }, 'heldOut has no effect'],
    [{ minClients: 30 }, 'the simulation has 20 clients'],
    [{ strategy: { name: 'fedbuff' }, overSelection: 0.5 }, 'strategy fedbuff waits for no client'],
    [{ strategy: { name: 'krum' }, localStepsBySpeed: 4 }, 'localStepsBySpeed: strategy krum'],
  ])('that have no effect or do not go together are refused: %j', (input, message) => {
    expect(() => virtualSettings(20, virtualSchema.parse(input))).toThrow(message);
  });

  it('need half of the updates that are asked for, and as many as a buffer holds', () => {
    expect(virtualSettings(200, virtualSchema.parse({ fraction: 0.1 })).config.minClients).toBe(10);
    expect(virtualSettings(200, virtualSchema.parse({ fraction: 0.1, strategy: { name: 'fedbuff', bufferSize: 15 } })).config.minClients).toBe(15);
  });
});

it('Jain’s index is 1 for equal shares and 1/n where one has all', () => {
  expect(jainIndex([2, 2, 2])).toBe(1);
  expect(jainIndex([0, 0, 5, 0])).toBe(0.25);
  expect(jainIndex([0, 0])).toBe(1);
});

it('the chart has a line for each simulation in three places, and a bar for each kind of time', async () => {
  const summary = await simulated(4, { rounds: 1, localSteps: 1, virtual: still });
  const { series } = virtualChart([summary, { ...summary, name: 'y' }]);
  const kinds = (series as { readonly type: string }[]).map(({ type }) => type);
  expect(kinds.filter((type) => type === 'line')).toHaveLength(6);
  expect(kinds.filter((type) => type === 'bar')).toHaveLength(4);
});
