import { Worker } from 'node:worker_threads';
import { MemoryTensorSink, MemoryTensorSource, Random, type Parameters, type TensorSource } from '@zk0/core';
import { afterAll, describe, expect, it, vi } from 'vitest';
import {
  aggregateParameters,
  createStrategy,
  roundOutcome,
  type AggregationResult,
  type ParametersInput,
  type ParametersUpdate,
  type StrategyConfigInput,
} from '../index.ts';
import { compileKernel } from '../kernels/kernel.ts';
import { WorkerPool } from './pool.ts';

/** A model whose tensors do not end on any boundary: several blocks, odd lengths, a scalar, an empty one. */
function randomModel(seed: string): Parameters {
  const random = new Random(seed);
  const shapes = [[3, 50_001], [4096], [7], [], [0, 5]];
  return new Map(
    shapes.map((shape, index) => {
      const data = random.fillNormal(new Float32Array(shape.reduce((count, size) => count * size, 1)));
      return [`t${index}`, { shape, data }];
    }),
  );
}

function input(count: number): ParametersInput & { readonly updates: readonly ParametersUpdate[] } {
  return {
    global: randomModel('global'),
    seed: 'pool',
    noiseSecret: new Uint8Array(32).fill(1),
    updates: Array.from({ length: count }, (_, index) => ({
      clientId: `client-${index}`,
      parameters: randomModel(`client ${index}`),
      numExamples: index + 1,
      metrics: { loss: 1 + index },
      control: randomModel(`control ${index}`),
    })),
  };
}

/** The same in memory that threads read themselves. */
function shared(parameters: Parameters): Parameters {
  return new Map(
    [...parameters].map(([name, { shape, data }]) => {
      const copy = new Float32Array(new SharedArrayBuffer(data.byteLength));
      copy.set(data);
      return [name, { shape, data: copy }];
    }),
  );
}

const bytes = (parameters: Parameters | null): Record<string, string> =>
  Object.fromEntries([...(parameters ?? [])].map(([name, { data }]) => [name, Buffer.from(data.buffer).toString('base64')]));

const CONFIGS: readonly StrategyConfigInput[] = [
  { name: 'fedavg' },
  { name: 'fedadam' },
  { name: 'diloco', inner: { name: 'fedtrimmedavg' } },
  { name: 'meamed', count: 3 },
  { name: 'multikrum', malicious: 1, keep: 3 },
  { name: 'bulyan', malicious: 1 },
  { name: 'qfedavg', learningRate: 0.1 },
  { name: 'scaffold' },
  { name: 'dp-adaptive', noiseMultiplier: 0.5, inner: { name: 'fedmedian' } },
];

describe('worker threads', () => {
  const pools = [new WorkerPool(1), new WorkerPool(3)];
  afterAll(() => Promise.all(pools.map((pool) => pool.close())));

  it.each(CONFIGS.map((config) => [config.name, config] as const))('%s gives the same bits on any number of threads, in any order of arrival', async (_name, config) => {
    const strategy = createStrategy(config);
    const round = input(7);
    const here = await aggregateParameters(strategy, round);
    const ordinary = round.updates.toReversed();
    const inSharedMemory = ordinary.map((update) => ({ ...update, parameters: shared(update.parameters), control: shared(update.control!) }));
    const rounds = [
      { ...round, updates: ordinary },
      { ...round, global: shared(round.global), updates: inSharedMemory },
      { ...round, updates: [...ordinary.slice(0, 3), ...inSharedMemory.slice(3)] },
    ];
    for (const [pool, arrived] of pools.flatMap((each) => rounds.map((arrived) => [each, arrived] as const))) {
      const there = await aggregateParameters(strategy, arrived, { workers: pool });
      expect(bytes(there.parameters)).toEqual(bytes(here.parameters));
      expect(bytes(there.state)).toEqual(bytes(here.state));
      expect({ ...there, parameters: 0, state: 0 }).toEqual({ ...here, parameters: 0, state: 0 });
    }
  });

  it.each([0, 2])('write into memory of an earlier round (%d threads), to the same bits, but never where they read', async (workers) => {
    const strategy = createStrategy({ name: 'fedavg' });
    const { parameters } = await aggregateParameters(strategy, input(3));
    for (const into of [randomModel('earlier'), shared(randomModel('earlier'))]) {
      const again = await aggregateParameters(strategy, input(3), { workers, into });
      expect(bytes(again.parameters)).toEqual(bytes(parameters));
      for (const [name, { data }] of again.parameters) expect(data.buffer, name).toBe(into.get(name)!.data.buffer);
    }
    const round = input(3);
    for (const into of [round.global, round.updates[1]!.parameters]) {
      await expect(aggregateParameters(strategy, round, { workers, into })).rejects.toThrow('into: tensor t0 lies in memory that this round reads');
    }
    const short = new Map([...randomModel('earlier')].slice(1));
    await expect(aggregateParameters(strategy, round, { workers, into: short })).rejects.toThrow('tensor t0 needs 600012 bytes to be written into, not none');
  });

  it('serve one aggregation after another, in the order in which they ask', async () => {
    const pool = new WorkerPool(1);
    try {
      const strategy = createStrategy({ name: 'fedavg' });
      const alone = await aggregateParameters(strategy, input(3));
      const order: number[] = [];
      const run = async (index: number, count: number): Promise<Parameters> => {
        const { parameters } = await aggregateParameters(strategy, input(count), { workers: pool });
        order.push(index);
        return parameters;
      };
      const [first] = await Promise.all([run(0, 3), run(1, 4), run(2, 3)]);
      expect(bytes(first)).toEqual(bytes(alone.parameters));
      expect(order).toEqual([0, 1, 2]);
    } finally {
      await pool.close();
    }
    expect(() => new WorkerPool(0)).toThrow('use 1 to 64');
  });

  it('stop when told to', async () => {
    const controller = new AbortController();
    const slow = aggregateParameters(createStrategy({ name: 'fedavg' }), input(3), { workers: 1, signal: controller.signal });
    controller.abort();
    await expect(slow).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('let the source say what is wrong with a file that they cannot read, and go on where it can', async () => {
    const specs = [{ name: 'w', dtype: 'F32' as const, shape: [5] }];
    const broken = (readBytes: TensorSource['readBytes']): TensorSource => ({
      specs,
      readBytes,
      locate: () => ({ kind: 'file', descriptor: 1_000_000, position: 0 }),
    });
    const run = async (tensors: TensorSource): Promise<MemoryTensorSource> => {
      const sink = new MemoryTensorSink(specs);
      const update = { clientId: 'a', numExamples: 1, metrics: {}, tensors, inspection: { norm: 1 } };
      const global = MemoryTensorSource.fromParameters(new Map([['w', { shape: [5], data: new Float32Array(5) }]]));
      const input = { round: 1, global, updates: [update], state: null, scalars: {}, seed: 1 };
      await createStrategy({ name: 'fedavg' }).aggregate(input, { parameters: sink, state: null }, { workers: pools[0]! });
      return sink.finish();
    };
    await expect(run(broken(() => Promise.reject(new Error('the disk is on fire'))))).rejects.toThrow('the disk is on fire');
    const values = new Float32Array(5);
    const result = await run(broken((_name, _offset, into) => Promise.resolve(void new Float32Array(into.buffer, into.byteOffset, 5).fill(3))));
    await result.readBytes('w', 0, new Uint8Array(values.buffer));
    expect([...values]).toEqual([3, 3, 3, 3, 3]);
  });

  it('hand on a kernel’s error and keep working', async () => {
    const pool = new WorkerPool(1);
    try {
      pool.buffer(0, 64);
      const block = { kernel: 7, tensor: 't', offset: 0, length: 1, operands: [], results: [] };
      await expect(pool.run(0, block)).rejects.toThrow(TypeError);
      pool.begin([compileKernel({ kind: 'inspect' }, { operands: ['F32'], results: [] })]);
      const operands = [{ data: { kind: 'buffer' as const, begin: 0 }, scales: null }];
      await expect(pool.run(0, { ...block, kernel: 0, operands })).resolves.toEqual(Float64Array.of(-1, 0));
    } finally {
      await pool.close();
    }
  });
});

describe('a thread that dies', () => {
  it('is reported as such to every caller, and is nobody’s update; another pool does the same work', async () => {
    const post = vi.spyOn(Worker.prototype, 'postMessage');
    const pool = new WorkerPool(2);
    try {
      pool.begin([]);
      const thread = post.mock.contexts[0] as Worker;
      post.mockRestore();
      const waiting = pool.run(0, { kernel: 0, tensor: 't', offset: 0, length: 1, operands: [], results: [] }).catch((error: unknown) => error);
      await thread.terminate();
      await waiting;
      expect(pool.hasFailed).toBe(true);
      const failure = await aggregateParameters(createStrategy({ name: 'fedmedian' }), input(3), { workers: pool }).catch((error: unknown) => error);
      expect(failure).toMatchObject({ code: 'WORKER_CRASHED' });
      expect(roundOutcome(failure)).toBeNull();
    } finally {
      await pool.close();
    }
    const replacement = new WorkerPool(1);
    try {
      await aggregateParameters(createStrategy({ name: 'fedmedian' }), input(3), { workers: replacement });
      expect(replacement.hasFailed).toBe(false);
    } finally {
      await replacement.close();
    }
  });
});

describe('memory', () => {
  it('does not grow with the number of clients: no read is larger than its share of a block', async () => {
    const shape = [150_000];
    let inFlight = 0;
    let most = 0;
    const source = (seed: number): TensorSource => ({
      specs: [{ name: 'w', dtype: 'F32', shape }],
      async readBytes(_name, byteOffset, into) {
        inFlight += into.byteLength;
        most = Math.max(most, inFlight);
        await Promise.resolve();
        new Float32Array(into.buffer, into.byteOffset, into.byteLength / 4).fill(seed + byteOffset / 4e7);
        inFlight -= into.byteLength;
      },
    });
    const peaks: number[] = [];
    for (const count of [4, 48]) {
      most = 0;
      const global = source(0);
      const sink = new MemoryTensorSink(global.specs);
      await createStrategy({ name: 'fedmedian' }).aggregate(
        {
          round: 1,
          global,
          updates: Array.from({ length: count }, (_, index) => ({
            clientId: `c${index}`,
            numExamples: 1,
            metrics: {},
            tensors: source(index),
            inspection: { norm: 1 },
          })),
          state: null,
          scalars: {},
          seed: 1,
        },
        { parameters: sink, state: null },
      );
      peaks.push(most);
    }
    for (const peak of peaks) expect(peak).toBeLessThanOrEqual(2 * 8 * 1024 * 1024);
    expect(peaks[1]).toBeLessThan(48 * 150_000 * 4);
  });
});

describe('element types', () => {
  /** Bytes of a bfloat16 model and of the same values as float32. */
  const bf16 = (value: number): MemoryTensorSource =>
    new MemoryTensorSource([{ name: 'w', dtype: 'BF16', shape: [2], data: new Uint8Array(Uint16Array.of(value, value).buffer) }]);

  const run = async (global: TensorSource, updates: readonly TensorSource[], config: StrategyConfigInput): Promise<[MemoryTensorSource, AggregationResult]> => {
    const strategy = createStrategy(config);
    const sink = new MemoryTensorSink(global.specs);
    const result = await strategy.aggregate(
      {
        round: 1,
        global,
        updates: updates.map((tensors, index) => ({ clientId: `c${index}`, numExamples: 1, metrics: {}, tensors })),
        state: null,
        scalars: {},
        seed: 1,
      },
      { parameters: sink, state: null },
    );
    return [sink.finish(), result];
  };

  it('pitfall: bfloat16 stays bfloat16, rounded once', async () => {
    // 1 and 1.0078125 are neighbours: their mean is a tie, and goes to the even one.
    const [result] = await run(bf16(0), [bf16(0x3f80), bf16(0x3f81)], { name: 'fedavg' });
    expect(result.specs).toEqual([{ name: 'w', dtype: 'BF16', shape: [2] }]);
    const bits = new Uint16Array(2);
    await result.readBytes('w', 0, new Uint8Array(bits.buffer));
    expect([...bits]).toEqual([0x3f80, 0x3f80]);
  });

  it('folds block-wise int8 with its scales, and rounds nothing before the end', async () => {
    const count = 5000;
    const scales = Float32Array.from({ length: Math.ceil(count / 64) }, (_, index) => 0.01 * (index + 1));
    const quantised = Int8Array.from({ length: count }, (_, index) => (index % 255) - 127);
    const int8 = new MemoryTensorSource([
      { name: 'w', dtype: 'I8', shape: [count], data: new Uint8Array(quantised.buffer) },
      { name: 'w.int8_scale', dtype: 'F32', shape: [scales.length], data: new Uint8Array(scales.buffer) },
    ]);
    const expanded = Float32Array.from(quantised, (value, index) => value * scales[Math.floor(index / 64)]!);
    const float = MemoryTensorSource.fromParameters(new Map([['w', { shape: [count], data: expanded }]]));
    const zero = MemoryTensorSource.fromParameters(new Map([['w', { shape: [count], data: new Float32Array(count) }]]));
    for (const name of ['fedavg', 'fedmedian'] as const) {
      const [fromInt8] = await run(zero, [int8, float], { name, guards: { acceptedDtypes: ['I8'] } });
      const [fromFloat] = await run(zero, [float, float], { name });
      const [a, b] = [new Uint8Array(count * 4), new Uint8Array(count * 4)];
      await fromInt8.readBytes('w', 0, a);
      await fromFloat.readBytes('w', 0, b);
      expect(a).toEqual(b);
    }
  });

  it('refuses int8 without scales, and tensors that have no mean', async () => {
    const data = new Uint8Array(2);
    const int8 = new MemoryTensorSource([{ name: 'w', dtype: 'I8', shape: [2], data }]);
    const zero = MemoryTensorSource.fromParameters(new Map([['w', { shape: [2], data: new Float32Array(2) }]]));
    const [, { excluded }] = await run(zero, [zero, int8], { name: 'fedavg', guards: { acceptedDtypes: ['I8'] } });
    expect(excluded).toMatchObject([{ clientId: 'c1', code: 'UPDATE_WRONG_DTYPE' }]);
    await expect(run(int8, [int8], { name: 'fedavg' })).rejects.toMatchObject({ code: 'UNSUPPORTED_TENSOR' });
  });
});
