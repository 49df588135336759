/**
 * @module
 * What every strategy promises, as tests. For vitest, node:test or anything else with `describe` and `it`:
 *
 * ```ts
 * import { describe, it } from 'vitest';
 * import { strategyContract } from '@zk0/strategy/testing';
 * strategyContract('my strategy', () => myStrategy(), { describe, it });
 * ```
 */
import { deepStrictEqual, notStrictEqual, ok, rejects, strictEqual } from 'node:assert/strict';
import {
  decodeSafetensors,
  encodeParameters,
  hashParameters,
  MemoryTensorSink,
  MemoryTensorSource,
  Random,
  type Float32Tensor,
  type Parameters,
  type TensorSpec,
} from '@zk0/core';
import { aggregateParameters, aggregationInput, type ParametersInput, type ParametersResult, type ParametersUpdate } from './aggregate-parameters.ts';
import { computePart } from './compute-part.ts';
import type { Scalars, Strategy } from './contract.ts';
import type { PassPart, PassSharing, PassSums } from './engine/pass-sharing.ts';
import { AggregationError } from './errors.ts';

/** The test runner's functions. */
export interface TestApi {
  readonly describe: (name: string, body: () => void) => unknown;
  readonly it: (name: string, body: () => Promise<void>) => unknown;
}

/** What the suite must know about a strategy. */
export interface ContractOptions {
  /** Clients of a round; at least the strategy's `minUpdates` + 1. Five, or that, by default. */
  readonly clients?: number;
  /** Whether an update with more examples moves the result more. */
  readonly weighsByExamples?: boolean;
  /** Whether clients that all send the same parameters leave those unchanged (false for noise and damped steps). */
  readonly keepsAgreement?: boolean;
  /** Worker threads of the comparison with the calling thread (2 by default); 0 leaves it out. */
  readonly workers?: number;
}

/**
 * Registers the tests of the contract: order of arrival, weights, scalars, an empty round, one client, NaN, shapes, dtype,
 * threads, and state that is saved and restored in the middle of a run.
 *
 * @param create Makes a fresh strategy; called once per test.
 */
export function strategyContract(name: string, create: () => Strategy, api: TestApi, options: ContractOptions = {}): void {
  const { describe, it } = api;
  const clients = Math.max(options.clients ?? 5, create().minUpdates + 1);
  const round = (change: Partial<ParametersInput> = {}): ParametersInput => ({
    global: randomModel('global'),
    updates: randomUpdates(clients, 1),
    seed: 'contract',
    noiseSecret: NOISE_SECRET,
    population: clients,
    ...change,
  });

  describe(`the contract of strategies: ${name}`, () => {
    it('gives the same bits in any order of arrival', async () => {
      const forwards = await aggregateParameters(create(), round());
      const backwards = await aggregateParameters(create(), round({ updates: randomUpdates(clients, 1).reverse() }));
      sameResult(backwards, forwards);
    });

    const workers = options.workers ?? 2;
    if (workers > 0) {
      it('gives the same bits on worker threads', async () => {
        const here = await aggregateParameters(create(), round());
        sameResult(await aggregateParameters(create(), round(), { workers }), here);
      });
    }

    it('gives the same bits where others compute its passes in parts', async () => {
      const whole = await aggregateParameters(create(), round());
      sameResult(await aggregateParameters(create(), round(), { sharing: sharedOut(create, round()) }), whole);
    });

    it('is a function of its input: a second aggregation of the same round is the same', async () => {
      const strategy = create();
      sameResult(await aggregateParameters(strategy, round()), await aggregateParameters(strategy, round()));
    });

    it('keeps names and shapes, scalars and empty tensors too', async () => {
      const { parameters } = await aggregateParameters(create(), round());
      const shapes = (model: Parameters): unknown => [...model].map(([tensor, { shape }]) => [tensor, shape]).sort();
      deepStrictEqual(shapes(parameters), shapes(randomModel('global')));
    });

    it('moves: the result is neither the old parameters nor one that is not finite', async () => {
      const { parameters, metrics } = await aggregateParameters(create(), round());
      notStrictEqual(hashParameters(parameters), hashParameters(randomModel('global')));
      for (const { data } of parameters.values()) ok(data.every((value) => Number.isFinite(value)));
      ok(metrics['param_update_norm']! > 0);
    });

    if (options.weighsByExamples !== undefined) {
      it(options.weighsByExamples ? 'weighs by examples' : 'does not weigh by examples', async () => {
        const [first, ...rest] = randomUpdates(clients, 1);
        const heavy = [{ ...first!, numExamples: 1_000_000 }, ...rest];
        const light = await aggregateParameters(create(), round({ updates: [first!, ...rest] }));
        const result = await aggregateParameters(create(), round({ updates: heavy }));
        strictEqual(hashParameters(result.parameters) !== hashParameters(light.parameters), options.weighsByExamples);
      });
    }

    if (options.keepsAgreement !== false) {
      it('takes what all clients agree on', async () => {
        const same = randomUpdates(clients, 1).map((update) => ({ ...update, parameters: randomModel('agreed') }));
        const { parameters } = await aggregateParameters(create(), round({ updates: same }));
        for (const [tensor, { data }] of randomModel('agreed')) {
          const result = parameters.get(tensor)!.data;
          for (const [index, value] of data.entries()) ok(Math.abs(result[index]! - value) <= 1e-5 * Math.max(1, Math.abs(value)));
        }
      });
    }

    it('refuses an empty round and writes nothing', async () => {
      const { global } = round();
      const strategy = create();
      const source = MemoryTensorSource.fromParameters(global);
      const parameters = new MemoryTensorSink(source.specs);
      const stateSpecs = strategy.stateSpecs(source.specs);
      const input = { round: 1, global: source, updates: [], state: null, scalars: {}, seed: 1, noiseSecret: NOISE_SECRET };
      const state = stateSpecs.length === 0 ? null : new MemoryTensorSink(stateSpecs);
      await rejects(strategy.aggregate(input, { parameters, state }), { code: 'TOO_FEW_UPDATES' });
      // The sink takes every byte once: it must still take all of them.
      for (const { name: tensor, shape } of source.specs) await parameters.writeBytes(tensor, 0, new Uint8Array(4 * size(shape)));
      parameters.finish();
    });

    it('works with one client, or says how many it needs', async () => {
      const alone = aggregateParameters(create(), round({ updates: randomUpdates(1, 1) }));
      if (create().minUpdates <= 1) await alone;
      else await rejects(alone, (error) => error instanceof AggregationError && error.code === 'TOO_FEW_UPDATES');
    });

    it('goes on without updates that are not finite, of another shape, incomplete, or without examples, and names them', async () => {
      const good = randomUpdates(clients, 1);
      const bad: ParametersUpdate[] = [
        { ...good[0]!, clientId: 'x-nan', parameters: changed('a', (data) => data.fill(NaN, 3, 4)) },
        { ...good[0]!, clientId: 'x-infinite', parameters: changed('b', (data) => data.fill(-Infinity)) },
        { ...good[0]!, clientId: 'x-shape', parameters: reshaped('a', [4, 25]) },
        { ...good[0]!, clientId: 'x-incomplete', parameters: new Map([...randomModel('1')].slice(1)) },
        { ...good[0]!, clientId: 'x-no-examples', numExamples: 0 },
        { ...good[0]!, parameters: randomModel('duplicate') },
      ];
      const clean = await aggregateParameters(create(), round());
      const mixed = await aggregateParameters(create(), round({ updates: [...good, ...bad] }));
      strictEqual(hashParameters(mixed.parameters), hashParameters(clean.parameters));
      const named = new Map(mixed.excluded.map(({ clientId, code }) => [`${clientId} ${code}`, true]));
      for (const expected of [
        'x-nan UPDATE_NON_FINITE',
        'x-infinite UPDATE_NON_FINITE',
        'x-shape UPDATE_WRONG_SHAPE',
        'x-incomplete UPDATE_MISSING_TENSOR',
        'x-no-examples UPDATE_BAD_EXAMPLE_COUNT',
        'client-00 UPDATE_DUPLICATE_CLIENT',
      ]) {
        ok(named.has(expected), `${expected} is not among ${[...named.keys()].join(', ')}`);
      }
    });

    it('keeps the element type: bfloat16 parameters stay bfloat16', async () => {
      const strategy = create();
      const specs: TensorSpec[] = [{ name: 'w', dtype: 'BF16', shape: [64] }];
      const source = (client: number): MemoryTensorSource =>
        new MemoryTensorSource([{ ...specs[0]!, data: bfloat16Pattern(64, client) }]);
      const parameters = new MemoryTensorSink(specs);
      const stateSpecs = strategy.stateSpecs(specs);
      const state = stateSpecs.length === 0 ? null : new MemoryTensorSink(stateSpecs);
      const updates = Array.from({ length: clients }, (_, index) => ({
        clientId: `client-${index}`,
        numExamples: 1,
        metrics: { loss: 1 },
        tensors: source(index + 1),
        control: source(index + 1),
      }));
      await strategy.aggregate({ round: 1, global: source(0), updates, state: null, scalars: {}, seed: 1, noiseSecret: NOISE_SECRET }, { parameters, state });
      strictEqual(parameters.finish().specs[0]!.dtype, 'BF16');
      state?.finish();
    });

    it('continues to the bit from state that was saved as safetensors and JSON in the middle of a run', async () => {
      const run = async (restart: boolean): Promise<ParametersResult> => {
        let strategy = create();
        let global = randomModel('global');
        let state: Parameters | null = null;
        let scalars: Scalars = {};
        let result!: ParametersResult;
        for (let number = 1; number <= 4; number++) {
          if (restart) {
            strategy = create();
            state = state === null ? null : savedAndLoaded(state);
            scalars = JSON.parse(JSON.stringify(scalars)) as Scalars;
            global = savedAndLoaded(global);
          }
          result = await aggregateParameters(strategy, round({ round: number, global, state, scalars, updates: randomUpdates(clients, number) }));
          ({ parameters: global, state, scalars } = result);
        }
        return result;
      };
      sameResult(await run(true), await run(false));
    });
  });
}

/**
 * Has every pass computed in parts, by strategies that know nothing of one another, as separate processes would.
 *
 * @param cut where a part that begins at block `from` of so many ends; after one block unless given.
 */
export function sharedOut(create: () => Strategy, input: ParametersInput, cut: (from: number, blocks: number) => number = (from) => from + 1): PassSharing {
  async function* parts(pass: number, blocks: number, earlier: readonly PassSums[]): AsyncGenerator<PassPart> {
    for (let from = 0; from < blocks; ) {
      const to = cut(from, blocks);
      const pieces: Uint8Array[] = [];
      const write = async (bytes: Uint8Array): Promise<void> => {
        await Promise.resolve(pieces.push(bytes.slice()));
      };
      const sums = await computePart(create(), aggregationInput(input), { pass, from, to, earlier, write });
      const results = Buffer.concat(pieces);
      const read = async (into: Uint8Array, position: number): Promise<void> => {
        await Promise.resolve(results.copy(into, 0, position, position + into.byteLength));
      };
      yield { blocks: to - from, sums, read };
      from = to;
    }
  }
  return { share: ({ index, blocks, earlier }) => Promise.resolve(parts(index, blocks, earlier)) };
}

/** Anything will do, as long as it is the same each time. */
const NOISE_SECRET = new Uint8Array(32).fill(7);
const SHAPES: Readonly<Record<string, readonly number[]>> = { a: [100], b: [3, 3000], c: [], d: [0, 2] };

function randomModel(seed: string): Parameters {
  const random = new Random(seed);
  return new Map(
    Object.entries(SHAPES).map(([name, shape]): [string, Float32Tensor] => [
      name,
      { shape, data: random.fillNormal(new Float32Array(size(shape))) },
    ]),
  );
}

function randomUpdates(count: number, round: number): ParametersUpdate[] {
  return Array.from({ length: count }, (_, index) => ({
    clientId: `client-${String(index).padStart(2, '0')}`,
    parameters: randomModel(`${round} ${index}`),
    control: randomModel(`control ${round} ${index}`),
    numExamples: 1 + index,
    metrics: { loss: 1 + index / 2 },
  }));
}

function changed(name: string, change: (data: Float32Array) => void): Parameters {
  const model = randomModel('changed');
  change(model.get(name)!.data);
  return model;
}

function reshaped(name: string, shape: readonly number[]): Parameters {
  const model = new Map(randomModel('reshaped'));
  model.set(name, { shape, data: model.get(name)!.data });
  return model;
}

function bfloat16Pattern(count: number, client: number): Uint8Array {
  const random = new Random(`bfloat16 ${client}`);
  const bits = Uint16Array.from({ length: count }, () => 0x3f80 | random.below(128));
  return new Uint8Array(bits.buffer);
}

function savedAndLoaded(parameters: Parameters): Parameters {
  const { tensors } = decodeSafetensors(encodeParameters(parameters));
  return new Map(tensors.map(({ name, shape, data }) => [name, { shape, data: new Float32Array(data.slice().buffer) }]));
}

function sameResult(actual: ParametersResult, expected: ParametersResult): void {
  // Hashes, not bytes: a failure is to be reported, not to compare megabytes for a readable difference.
  strictEqual(hashParameters(actual.parameters), hashParameters(expected.parameters));
  strictEqual(actual.state && hashParameters(actual.state), expected.state && hashParameters(expected.state));
  deepStrictEqual([actual.metrics, actual.scalars, actual.excluded], [expected.metrics, expected.scalars, expected.excluded]);
}

function size(shape: readonly number[]): number {
  return shape.reduce((count, length) => count * length, 1);
}
