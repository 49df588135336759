import { encodeParameters, Random, type Float32Tensor, type Parameters, type RunState } from '@zk0/core';
import { readParameters } from '@zk0/storage';
import { expect, it } from 'vitest';
import type { FederatedModel, LocalModel } from '../src/index.ts';
import { Puppet, type TestFederation, testFederations } from './harness.ts';
import { config, until } from './two-numbers.ts';

const [RANK, OUTPUTS, INPUTS] = [16, 48, 40];
const { federation } = testFederations();

function normal(seed: string, shape: readonly [number, number]): Float32Tensor {
  return { shape: [...shape], data: new Random(seed).fillNormal(new Float32Array(shape[0] * shape[1])) };
}

const initial: Parameters = new Map([['layer.weight', normal('initial', [OUTPUTS, INPUTS])]]);

/** One matrix, to which factors are added. */
const matrix: FederatedModel = {
  describeClient: () => ({ label: 'matrix', numExamples: 10 }),
  openRun: () => Promise.resolve({
    trainingDefaults: { localSteps: 1, batchSize: 1, learningRate: 0.5 },
    start: () => Promise.resolve({ parameters: initial, context: { run: {} } }),
    saveCheckpoint: (_path, round) => Promise.resolve(`checkpoint_${round}`),
  }),
};

function factorsOf(id: string, round: number): Parameters {
  return new Map([['layer.lora_A.weight', normal(`${id}/${round}/a`, [RANK, INPUTS])], ['layer.lora_B.weight', normal(`${id}/${round}/b`, [OUTPUTS, RANK])]]);
}

/** A client with as many examples as its id says, whose factors depend on the round alone. */
function client(id: string, before: (round: number) => Promise<void> = () => Promise.resolve()): LocalModel {
  return {
    profile: () => ({}),
    fit: async ({ fit: { round } }, global) => {
      await before(round);
      return { parameters: global, factors: factorsOf(id, round), numExamples: Number(id), metrics: { loss: 1 } };
    },
  };
}

const run = (rounds: number, strategy = 'fedavg') => config({ rounds, minClients: 2, loraRank: 16, loraAlpha: 4, strategy: { name: strategy } });

async function undisturbed(rounds: number): Promise<{ readonly made: TestFederation; readonly state: RunState }> {
  const made = await federation({ model: matrix });
  await made.join('3', client('3'));
  await made.join('7', client('7'));
  return { made, state: await made.ends(await made.coordinator.submit(run(rounds))) };
}

it('a run of factors adds the weighted mean of their products to the weights in every round', async () => {
  const { made, state } = await undisturbed(3);
  expect(state.phase).toBe('finished');
  const expected = Float64Array.from(initial.get('layer.weight')!.data);
  const sizes = Float64Array.from(expected, Math.abs);
  for (const round of [1, 2, 3]) {
    for (const id of ['3', '7']) {
      const [a, b] = [...factorsOf(id, round).values()].map(({ data }) => data) as [Float32Array, Float32Array];
      expected.forEach((_, at) => {
        let sum = 0;
        for (let factor = 0; factor < RANK; factor++) sum += b[Math.floor(at / INPUTS) * RANK + factor]! * a[factor * INPUTS + (at % INPUTS)]!;
        expected[at]! += (Number(id) / 10) * (4 / RANK) * sum;
        sizes[at]! += Math.abs(sum);
      });
    }
  }
  const found = (await readParameters(await made.blobs.verifiedFile(state.parameters!))).get('layer.weight')!.data;
  // Each round rounds to float32 once for a product and once for the sum.
  found.forEach((value, at) => {
    expect(Math.abs(value - expected[at]!)).toBeLessThanOrEqual(3 * 2 ** -23 * sizes[at]!);
  });
});

it('sends factors up and weights down', async () => {
  const { state } = await undisturbed(1);
  const [first] = state.rounds;
  const bytes = encodeParameters(factorsOf('3', 1)).byteLength;
  const dense = encodeParameters(initial).byteLength;
  for (const { outcome } of first!.participants.values()) {
    expect(outcome.state === 'accepted' && outcome.update.byteLength).toBe(bytes);
  }
  expect(state.parameters!.byteLength).toBe(dense);
});

it('a server that starts anew in the middle of a round goes on to the same bytes', async () => {
  const { state: expected } = await undisturbed(3);
  const made = await federation({ model: matrix });
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  await made.join('3', client('3'));
  await made.join('7', client('7', (round) => (round === 2 ? held : Promise.resolve())));
  const runId = await made.coordinator.submit(run(3));
  // One update has been looked through; the next server has only its blob.
  await made.reaches(runId, ({ rounds }) => rounds.at(1)?.participants.get('3')?.outcome.state === 'accepted');
  await made.restart({ model: matrix });
  release();
  await until(async () => (await made.state(runId)).phase === 'finished', 'the run ends');
  expect((await made.state(runId)).parameters!.hash).toBe(expected.parameters!.hash);
});

it('refuses whole weights, and factors of another rank, by name', async () => {
  const made = await federation({ model: matrix });
  const [a, b] = [await new Puppet(made, 'a').join(), await new Puppet(made, 'b').join()];
  await made.coordinator.submit(run(1));
  const whole = await a.answer(await a.task(), encodeParameters(initial));
  await expect(made.coordinator.result(a.principal, whole)).resolves.toMatchObject({ status: 'rejected', code: 'UPDATE_MISSING_TENSOR', message: expect.stringMatching(/factors of low rank/) as string });
  const other = new Map([['layer.lora_A.weight', normal('a', [8, INPUTS])], ['layer.lora_B.weight', normal('b', [OUTPUTS, 8])]]) as Parameters;
  const wrong = await b.answer(await b.task(), encodeParameters(other));
  await expect(made.coordinator.result(b.principal, wrong)).resolves.toMatchObject({ status: 'rejected', code: 'UPDATE_WRONG_SHAPE' });
});

it('refuses at submission what would not be exact, and an alpha without a rank', async () => {
  const made = await federation({ model: matrix });
  await expect(made.coordinator.submit(run(1, 'scaffold'))).rejects.toThrow(/strategy scaffold: its control variates correct gradients of weights/);
  await expect(made.coordinator.submit(config({ minClients: 2, loraAlpha: 4 }))).rejects.toThrow(/loraAlpha: the run has no loraRank/);
});
