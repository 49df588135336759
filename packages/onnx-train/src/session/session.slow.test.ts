import { CancelledError } from '@zk0/core';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { SessionError } from '../errors.ts';
import { encodeModel, type OnnxModel } from '../graph/encode-model.ts';
import { GraphBuilder } from '../graph/graph-builder.ts';
import * as ops from '../ops/index.ts';
import { listDevices } from './devices.ts';
import { resolveDevice } from './resolve-device.ts';
import { createSession, type Session } from './session.ts';
import { WorkerClient } from './worker-client.ts';
import { float32Tensor, int64Tensor, sharedTensor, type Tensor } from './tensor.ts';

/** y = xⁿ by repeated products of matrices. */
function powers(size: number, count: number): OnnxModel {
  const graph = new GraphBuilder();
  const x = graph.input('x', 'float32', [size, size]);
  const { state } = ops.loop(graph, count, [x], ({ state: [y] }) => ({ state: [ops.mul(ops.matMul(y!, x), 0.5)] }));
  graph.output('y', state[0]!);
  return encodeModel(graph);
}

function twice(): OnnxModel {
  const graph = new GraphBuilder();
  graph.output('y', ops.mul(graph.input('x', 'float32', [4]), 2));
  return encodeModel(graph);
}

const x4 = float32Tensor(Float32Array.of(1, 2, 3, 4));

async function withSession<T>(model: OnnxModel | string | Uint8Array, use: (session: Session) => Promise<T>): Promise<T> {
  const session = await createSession(model, { threads: 1 });
  try {
    return await use(session);
  } finally {
    await session.close();
  }
}

describe('a session', () => {
  it('leaves the event loop free while it runs', async () => {
    await withSession(powers(512, 60), async (session) => {
      const x = float32Tensor(new Float32Array(512 * 512).fill(1e-3), [512, 512]);
      let longest = 0;
      let last = performance.now();
      const timer = setInterval(() => {
        longest = Math.max(longest, performance.now() - last);
        last = performance.now();
      }, 5);
      const begun = performance.now();
      await session.run({ x });
      const whole = performance.now() - begun;
      clearInterval(timer);
      expect(longest).toBeLessThan(whole / 2);
    });
  });

  it('reads shared memory in place and writes into memory it is given', async () => {
    await withSession(twice(), async (session) => {
      const x = sharedTensor('float32', [4]);
      const y = sharedTensor('float32', [4]);
      for (let round = 1; round <= 3; round++) {
        (x.data as Float32Array).fill(round);
        const result = await session.run({ x }, { into: { y } });
        expect([...y.data]).toEqual([2 * round, 2 * round, 2 * round, 2 * round]);
        expect(result['y']!.data.buffer).toBe(y.data.buffer);
      }
    });
  });

  it('leaves feeds in ordinary memory as they were', async () => {
    await withSession(twice(), async (session) => {
      await session.run({ x: x4 });
      expect([...x4.data]).toEqual([1, 2, 3, 4]);
    });
  });

  it('carries every element type through', async () => {
    const types = ['float32', 'float64', 'float16', 'int64', 'int32', 'int8', 'uint8', 'bool'] as const;
    const graph = new GraphBuilder();
    for (const dtype of types) graph.output(`out ${dtype}`, ops.identity(graph.input(dtype, dtype, [2])));
    await withSession(encodeModel(graph), async (session) => {
      const feeds = Object.fromEntries(types.map((dtype) => [dtype, sharedTensor(dtype, [2])]));
      (feeds['float16']!.data as Uint16Array)[1] = 0x3c00;
      (feeds['int64']!.data as BigInt64Array)[1] = -5n;
      (feeds['bool']!.data as Uint8Array)[1] = 1;
      const outputs = await session.run(feeds);
      for (const dtype of types) expect(outputs[`out ${dtype}`]).toEqual(feeds[dtype]);
    });
  });

  it('gives the same bits every time for one number of threads', async () => {
    const x = float32Tensor(Float32Array.from({ length: 64 * 64 }, (_, index) => Math.sin(index)), [64, 64]);
    const once = (): Promise<Tensor> => withSession(powers(64, 3), async (session) => (await session.run({ x }))['y']!);
    expect(await once()).toEqual(await once());
  });

  it('runs files and bytes of any origin', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'onnx-train-'));
    await writeFile(join(folder, 'm.onnx'), twice().bytes);
    for (const model of [join(folder, 'm.onnx'), twice().bytes]) {
      const outputs = await withSession(model, (session) => session.run({ x: x4 }));
      expect([...outputs['y']!.data]).toEqual([2, 4, 6, 8]);
    }
    await rm(folder, { recursive: true });
  });

  it.each([
    ['an input is missing', {}, {}, /input x is not fed/],
    ['an input is unknown', { x: x4, z: x4 }, {}, /no input z/],
    ['a shape is wrong', { x: float32Tensor(new Float32Array(3)) }, {}, /input x is float32 \[3\].*\[4\]/],
    ['a type is wrong', { x: int64Tensor([1, 2, 3, 4]) }, {}, /input x is int64/],
    ['data and shape disagree', { x: float32Tensor(new Float32Array(3), [4]) }, {}, /3 elements/],
    ['an output is unknown', { x: x4 }, { outputs: ['q'] }, /no output q/],
    ['memory for an output is not shared', { x: x4 }, { into: { y: x4 } }, /not shared/],
  ])('refuses a run when %s', async (_what, feeds, options, message) => {
    await withSession(twice(), async (session) => {
      await expect(session.run(feeds as Record<string, Tensor>, options)).rejects.toThrow(message);
    });
  });

  it('reports what fails inside onnxruntime and goes on', async () => {
    const graph = new GraphBuilder();
    const at = graph.input('at', 'int64', [1]);
    graph.output('y', ops.gather(graph.constant([1, 2], 'float32'), at));
    await withSession(encodeModel(graph), async (session) => {
      await expect(session.run({ at: int64Tensor([7]) })).rejects.toMatchObject({ code: 'RUN_FAILED' });
      expect([...(await session.run({ at: int64Tensor([1]) }))['y']!.data]).toEqual([2]);
    });
  });

  it('refuses what is no model', async () => {
    await expect(createSession(new Uint8Array(100))).rejects.toMatchObject({ code: 'MODEL_REJECTED' });
    await expect(createSession('/nowhere/m.onnx')).rejects.toMatchObject({ code: 'MODEL_REJECTED' });
    await expect(createSession(twice(), { threads: 0 })).rejects.toThrow(/0 threads/);
  });

  it('can be cancelled, waiting or running, and is usable afterwards', async () => {
    await withSession(powers(256, 200), async (session) => {
      const x = float32Tensor(new Float32Array(256 * 256).fill(1e-3), [256, 256]);
      const running = new AbortController();
      const waiting = new AbortController();
      const first = session.run({ x }, { signal: running.signal });
      const second = session.run({ x }, { signal: waiting.signal });
      waiting.abort();
      await expect(second).rejects.toBeInstanceOf(CancelledError);
      running.abort();
      await expect(first).rejects.toBeInstanceOf(CancelledError);
      await expect(session.run({ x }, { signal: running.signal })).rejects.toBeInstanceOf(CancelledError);
      expect((await session.run({ x }))['y']!.shape).toEqual([256, 256]);
    });
  });

  it('finishes the run in progress when closed, rejects the others, and takes no more', async () => {
    const session = await createSession(powers(256, 50), { threads: 1 });
    const x = float32Tensor(new Float32Array(256 * 256), [256, 256]);
    const first = session.run({ x });
    const second = session.run({ x });
    const refused = expect(second).rejects.toMatchObject({ code: 'SESSION_CLOSED' });
    await Promise.all([session.close(), session.close()]);
    await refused;
    expect((await first)['y']!.shape).toEqual([256, 256]);
    await expect(session.run({ x })).rejects.toMatchObject({ code: 'SESSION_CLOSED' });
  });
});

describe('a thread that dies', () => {
  it('rejects what runs, what waits and what comes later, with one typed error', async () => {
    const options = { device: 'cpu', threads: 1, config: {}, externalDirectory: undefined, state: {}, guards: [] } as const;
    const client = await WorkerClient.start(twice().bytes, options);
    // Nothing a caller can pass brings the thread down; a message outside the protocol does.
    const outside = { kind: 'nonsense' } as never;
    const runs = [client.run(outside, undefined), client.run(outside, undefined)];
    for (const run of runs) await expect(run).rejects.toMatchObject({ code: 'WORKER_CRASHED' });
    await expect(client.run(outside, undefined)).rejects.toMatchObject({ code: 'WORKER_CRASHED' });
    await client.close();
  });
});

describe('devices', () => {
  it('are listed, the cpu always among them', () => {
    expect(listDevices()).toContainEqual({ device: 'cpu', installed: true });
  });

  it('that are not there fail fast, with the reason and what to do', async () => {
    const absent = listDevices().some(({ device }) => device === 'coreml') ? 'dml' : 'coreml';
    const failed = await createSession(twice(), { device: absent }).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(SessionError);
    expect(failed).toMatchObject({ code: 'DEVICE_UNAVAILABLE', hint: expect.stringContaining('cpu') as string });
  });

  it('are tried in order by auto, with the reasons against those before', async () => {
    const { device, rejected } = await resolveDevice(['qnn', 'coreml', 'cpu']);
    expect(['qnn', 'coreml', 'cpu'].slice(0, rejected.length + 1)).toEqual([...rejected.map((r) => r.device), device]);
    for (const { device: refused, reason } of rejected) expect(reason).toContain(refused);
    expect(rejected).not.toEqual([]);
  });
});

describe('a process with sessions', () => {
  const program = (body: string): string => `
    import { createSession, encodeModel, GraphBuilder, ops, float32Tensor } from ${JSON.stringify(new URL('../index.ts', import.meta.url).href)};
    const graph = new GraphBuilder();
    graph.output('y', ops.mul(graph.input('x', 'float32', [4]), 2));
    const session = await createSession(encodeModel(graph), { threads: 2 });
    await session.run({ x: float32Tensor(new Float32Array(4)) });
    ${body}`;

  async function exitOf(source: string): Promise<{ code: number | null; text: string }> {
    const child = spawn(process.execPath, ['--conditions=@zk0/source', '--input-type=module', '--eval', source]);
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const exit = new Promise<number | null>((resolve) => child.on('exit', resolve));
    const code = await Promise.race([exit, sleep(15_000).then(() => 'timeout' as const)]);
    if (code === 'timeout') {
      child.kill('SIGKILL');
      throw new Error(`did not exit: ${text}`);
    }
    return { code, text };
  }

  it.each([
    ['closes them', 'await session.close(); console.log("closed");', 'closed\n'],
    ['forgets to close them', 'console.log("left");', 'left\n'],
  ])('ends by itself when it %s', async (_what, body, text) => {
    expect(await exitOf(program(body))).toEqual({ code: 0, text });
  });
});
