import { existsSync } from 'node:fs';
import { readdir, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeParameters, encodeSafetensors, MemoryTensorSource, type RunConfigInput, type RunState, type TensorBytes, type UpdateEncoding, type UpdateEncodingChoice } from '@zk0/core';
import { openSafetensors, readParameters } from '@zk0/storage';
import { aggregateParameters, createStrategy } from '@zk0/strategy';
import { decodeUpdate, encodeUpdate, type PackedEncoding } from '@zk0/update-codec';
import { describe, expect, it } from 'vitest';
import type { FederationConnection } from '../src/index.ts';
import { Puppet, testFederations, type TestFederation } from './harness.ts';
import { client, COUNT, farthest, hashesOf, initial, many, run, undisturbed, updates, vector, weights } from './many-numbers.ts';
import { until } from './two-numbers.ts';

const ROUNDED = ['bfloat16', 'int8', 'int4', 'ternary', 'compressed'] as const;
const { federation } = testFederations();

async function played(encoding: UpdateEncodingChoice, rounds: number, more: RunConfigInput = {}): Promise<{ readonly made: TestFederation; readonly state: RunState }> {
  const made = await federation({ model: many });
  const state = await undisturbed(made, rounds, { updateEncoding: encoding, ...more });
  expect(state.phase).toBe('finished');
  return { made, state };
}

describe('a run with encoded updates', () => {
  it('of delta comes to the very bytes of float32', async () => {
    const [plain, delta] = [await played('float32', 4), await played('delta', 4)];
    expect(delta.state.parameters).toEqual(plain.state.parameters);
    expect(updates(delta.state)[0]!.hash).not.toBe(updates(plain.state)[0]!.hash);
  });

  it('that are rounded sends less, and comes as near as its steps', async () => {
    const plain = await played('float32', 6);
    const target = await weights(plain.made, plain.state);
    const whole = updates(plain.state)[0]!.byteLength;
    // A step of the last rounds, whose changes are some tenths; with three values only, large changes lag some rounds behind.
    const expected = { bfloat16: [0.55, 0.004], int8: [0.33, 0.005], int4: [0.2, 0.1], ternary: [0.13, 1.5], compressed: [0.15, 0.5] } as const;
    for (const encoding of ROUNDED) {
      const { made, state } = await played(encoding, 6);
      const [share, distance] = expected[encoding];
      for (const { byteLength } of updates(state)) expect(byteLength).toBeLessThan(share * whole);
      expect(farthest(await weights(made, state), target)).toBeLessThan(distance);
      expect(made.log.matching(new RegExp(`the update has .* instead of .* \\(${encoding}\\)`))).toHaveLength(12);
    }
  });

  it('with auto asks each client by its own connection, and reads what it has asked for', async () => {
    const { state } = await played('auto', 3);
    const asked = state.rounds.map(({ participants }) => [...participants.values()].map(({ instructions }) => (instructions['update'] as { encoding: string }).encoding));
    expect(asked[0]).toEqual(asked[0]!.map(() => 'int8'));
    for (const encoding of asked.flat()) expect(['bfloat16', 'int8', 'int4', 'compressed']).toContain(encoding);
    expect(state.rounds.flatMap(({ participants }) => [...participants.values()].map(({ outcome }) => outcome.state))).not.toContain('refused');
  });

  it.each([{ name: 'fedavg' }, { name: 'fedtrimmedavg' }, { name: 'multikrum', malicious: 1, keep: 2 }, { name: 'fedadam' }, { name: 'fedbuff' }])('gives $name the decoded values', async (strategy) => {
    const { made, state } = await played('int4', 1, { strategy, minClients: 5, fraction: 1 });
    const base = MemoryTensorSource.fromParameters(initial);
    const sent = await Promise.all(updates(state).map(async ({ clientId, hash }) => {
      const file = await openSafetensors(made.blobs.path(hash));
      const { tensors } = decodeUpdate(file, file.metadata, { encoding: 'int4', base, baseHash: state.initialParameters!.hash });
      const change = (await readParameters(tensors)).get('w')!.data;
      await file.close();
      return { clientId, numExamples: 10, parameters: vector(change.map((value, index) => value + initial.get('w')!.data[index]!)), metrics: { loss: 1 } };
    }));
    const { parameters } = await aggregateParameters(createStrategy(strategy), { global: initial, updates: sent });
    // One rounds a weight to float32 before the mean, the other does not; Adam divides by small numbers.
    expect(farthest(await weights(made, state), parameters.get('w')!.data)).toBeLessThan(strategy.name === 'fedadam' ? 1e-4 : 1e-6);
  });

  it('that a server which starts anew takes up goes on to the same bytes', async () => {
    for (const encoding of ['int4', 'delta'] as const) {
      const { state: expected } = await played(encoding, 4);
      const made = await federation({ model: many });
      let release: () => void = () => undefined;
      const held = new Promise<void>((resolve) => (release = resolve));
      await made.join('c0', client('c0'));
      await made.join('c1', client('c1', (round) => (round === 3 ? held : Promise.resolve())));
      const runId = await made.coordinator.submit(run(4, { updateEncoding: encoding }));
      // One update has been looked through; the next server has only its blob.
      await made.reaches(runId, ({ rounds }) => rounds.at(2)?.participants.get('c0')?.outcome.state === 'accepted');
      await made.restart({ model: many });
      release();
      await until(async () => (await made.state(runId)).phase === 'finished', 'the run ends');
      expect((await made.state(runId)).parameters).toEqual(expected.parameters);
    }
  });
});

describe('error feedback', () => {
  /** Where a client dies: before it sends, before it reports, and when the server has counted what it does not hear of. */
  const moments = ['training', 'upload', 'result', 'answer'] as const;

  it.each(moments)('survives a client that is killed in every round: %s', async (moment) => {
    const { state: expected } = await played('int4', 4);
    const made = await federation({ model: many });
    await made.join('c0', client('c0'));
    const dead = new Set<number>();
    const never = new Promise<never>(() => undefined);
    /** Dies once in a round; another process of the same client takes over. */
    const die = (round: number): boolean => {
      if (dead.has(round)) return false;
      dead.add(round);
      void live();
      return true;
    };
    const live = async (): Promise<void> => {
      let round = 0;
      const through = (line: FederationConnection): FederationConnection => ({
        ...line,
        upload: (...args) => (moment === 'upload' && die(round) ? never : line.upload(...args)),
        result: async (...args) => {
          if (moment === 'result' && die(round)) return never;
          const reply = await line.result(...args);
          return moment === 'answer' && die(round) ? never : reply;
        },
        leave: () => Promise.resolve(),
      });
      const model = client('c1', (now) => {
        round = now;
        return moment === 'training' && die(now) ? never : Promise.resolve();
      });
      await made.join('c1', model, undefined, through);
    };
    await live();
    const state = await made.ends(await made.coordinator.submit(run(4, { updateEncoding: 'int4' })));
    expect(dead.size).toBe(4);
    expect(hashesOf(state)).toEqual(hashesOf(expected));
    expect(state.parameters).toEqual(expected.parameters);
    expect(made.log.matching(/is lost/)).toEqual([]);
    // Those who died never end.
    made.abandon();
  });

  it('that is lost or damaged begins with zero, and says so once', async () => {
    const made = await federation({ model: many });
    const folder = (): string => join(made.homeOf('c1'), 'residual');
    await made.join('c0', client('c0'));
    await made.join('c1', client('c1', async (round) => {
      if (round === 2) await rm(folder(), { recursive: true });
      if (round !== 4) return;
      const files = (await readdir(folder(), { recursive: true })).filter((name) => name.endsWith('.safetensors'));
      await Promise.all(files.map((name) => truncate(join(folder(), name), 100)));
    }));
    const state = await made.ends(await made.coordinator.submit(run(5, { updateEncoding: 'int8' })));
    expect(state.phase).toBe('finished');
    expect(made.log.matching(/^warn what was left over of this client's updates is lost/)).toHaveLength(2);
  });

  it('goes with a run that rounds nothing', async () => {
    const { made } = await played('int8', 1);
    expect(existsSync(join(made.homeOf('c0'), 'residual'))).toBe(true);
    await made.ends(await made.coordinator.submit(run(1, {})));
    expect(existsSync(join(made.homeOf('c0'), 'residual'))).toBe(false);
  });
});

describe('refuses, and tells the client', () => {
  const base = MemoryTensorSource.fromParameters(initial);
  /** An update that changes every number so much. */
  const encoded = async (encoding: PackedEncoding, baseHash: string, change = 0.01): Promise<{ tensors: readonly TensorBytes[]; metadata: Readonly<Record<string, string>> }> =>
    encodeUpdate(MemoryTensorSource.fromParameters(vector(initial.get('w')!.data.map((value) => value + change))), { encoding, base, baseHash });

  async function reply(encoding: UpdateEncoding, bytes: (baseHash: string) => Promise<Uint8Array>, strategy: RunConfigInput['strategy'] = { name: 'fedavg' }): Promise<unknown> {
    const made = await federation({ model: many });
    const [a] = [await new Puppet(made, 'a').join(), await new Puppet(made, 'b').join()];
    await made.coordinator.submit(run(1, { updateEncoding: encoding, strategy }));
    const task = await a.task();
    return made.coordinator.result(a.principal, await a.answer(task, await bytes(task.parameters.hash)));
  }
  const packed = (encoding: PackedEncoding, change = (all: readonly TensorBytes[]): readonly TensorBytes[] => all, base_?: string) => async (baseHash: string): Promise<Uint8Array> => {
    const { tensors, metadata } = await encoded(encoding, base_ ?? baseHash);
    return encodeSafetensors(change(tensors), metadata);
  };
  const tensor = (name: string, data: (old: Uint8Array) => Uint8Array) => (all: readonly TensorBytes[]): readonly TensorBytes[] => all.map((one) => (one.name === name ? { ...one, data: data(one.data) } : one));

  it.each<[string, UpdateEncoding, (baseHash: string) => Promise<Uint8Array>, string, RegExp]>([
    ['float32 where int8 was agreed on', 'int8', () => Promise.resolve(encodeParameters(initial)), 'UPDATE_WRONG_ENCODING', /client a: it is in the encoding "float32", and int8 was agreed on/],
    ['int8 where float32 was agreed on', 'float32', packed('int8'), 'UPDATE_WRONG_ENCODING', /in the encoding "int8", and float32 was agreed on/],
    ['a difference to other parameters', 'int8', packed('int8', undefined, 'd'.repeat(64)), 'UPDATE_WRONG_ENCODING', /other parameters than those of the round/],
    ['a scale that is NaN', 'int4', packed('int4', tensor('scales/w', (old) => new Uint8Array(new Float32Array(old.byteLength / 4).fill(NaN).buffer))), 'UPDATE_UNREADABLE', /tensor w: scale 0 is NaN/],
    ['compressed bytes that are none', 'delta', packed('delta', tensor('values/w', (old) => old.map(() => 7))), 'UPDATE_UNREADABLE', /does not decompress/],
    ['an infinite value', 'bfloat16', packed('bfloat16', tensor('values/w', (old) => Uint8Array.from(old, (byte, at) => (at === 20 ? 0x80 : at === 21 ? 0x7f : byte)))), 'UPDATE_NON_FINITE', /element 10 is not finite/],
    ['a tensor that is missing', 'int8', packed('int8', (all) => all.slice(1)), 'UPDATE_UNREADABLE', /scales\/w is absent/],
  ])('%s', async (_what, encoding, bytes, code, message) => {
    expect(await reply(encoding, bytes)).toMatchObject({ status: 'rejected', code, message: expect.stringMatching(message) as string });
  });

  it('a decoded norm above the guard', async () => {
    const guards = { maxUpdateNorm: 0.1 };
    expect(await reply('int8', packed('int8'), { name: 'fedavg', guards })).toMatchObject({ status: 'rejected', code: 'UPDATE_NORM_TOO_LARGE', message: expect.stringMatching(/norm is 0\.447/) as string });
  });

  it('a training that diverged, before it is sent', async () => {
    const made = await federation({ model: many });
    await made.join('c0', { profile: () => ({}), fit: () => Promise.resolve({ parameters: vector(new Float32Array(COUNT).fill(NaN)), numExamples: 1, metrics: {} }) });
    const state = await made.ends(await made.coordinator.submit(run(1, { updateEncoding: 'int8', minClients: 1 })));
    expect(state.rounds[0]!.participants.get('c0')!.outcome).toMatchObject({ state: 'refused', code: 'ENCODING_NON_FINITE', message: 'tensor w: element 0 is not finite, or too large for int8' });
  });

  it('at submission what would send more than weights, or something else', async () => {
    const made = await federation({ model: many });
    await expect(made.coordinator.submit(run(1, { updateEncoding: 'int8', strategy: { name: 'scaffold' } }))).rejects.toThrow(/updateEncoding int8: strategy scaffold also sends control variates/);
    await expect(made.coordinator.submit(run(1, { broadcastEncoding: 'int8', strategy: { name: 'scaffold' } }))).rejects.toThrow(/broadcastEncoding int8: strategy scaffold also sends control variates/);
    await expect(made.coordinator.submit(run(1, { updateEncoding: 'delta', loraRank: 16 }))).rejects.toThrow(/updateEncoding delta: the run trains factors of low rank \(loraRank 16\)/);
  });
});
