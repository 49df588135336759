import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeParameters, type BlobReference, type RunConfigInput, type RunState, type UpdateEncoding } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import type { FederationConnection } from '../src/index.ts';
import { Puppet, testFederations, type TestFederation } from './harness.ts';
import { client, farthest, hashesOf, initial, many, run, undisturbed, updates, vector, weights } from './many-numbers.ts';
import { until } from './two-numbers.ts';

const ROUNDED = ['bfloat16', 'int8', 'int4', 'ternary', 'compressed'] as const;
const { federation } = testFederations();

async function played(broadcastEncoding: UpdateEncoding, rounds: number, more: RunConfigInput = {}): Promise<{ readonly made: TestFederation; readonly state: RunState }> {
  const made = await federation({ model: many });
  const state = await undisturbed(made, rounds, { broadcastEncoding, ...more });
  expect(state.phase).toBe('finished');
  return { made, state };
}

/** Bytes that each client fetched, by round. */
function fetched(state: RunState): number[][] {
  return state.rounds.map(({ participants }) => [...participants.values()].map(({ outcome }) => (outcome.state === 'accepted' ? outcome.metrics['bytes_down']! : -1)));
}

describe('parameters that go out as encoded differences', () => {
  it('of delta are the newest ones, and the run comes to the very bytes of float32', async () => {
    const [plain, delta] = [await played('float32', 4), await played('delta', 4)];
    expect(delta.state.parameters).toEqual(plain.state.parameters);
    expect(hashesOf(delta.state)).toEqual(hashesOf(plain.state));
    expect(delta.state.published).toMatchObject({ parameters: plain.state.parameters });
    expect(fetched(delta.state).slice(1)).not.toEqual(fetched(plain.state).slice(1));
  });

  it('that are rounded take fewer bytes from the second round on, and stay within a step of the newest ones', async () => {
    const plain = await played('float32', 5);
    const target = await weights(plain.made, plain.state);
    const whole = plain.state.parameters!.byteLength;
    // With three values only, large changes lag some rounds behind.
    const expected = { bfloat16: [0.55, 0.002], int8: [0.33, 0.004], int4: [0.2, 0.1], ternary: [0.13, 3.5], compressed: [0.15, 0.5] } as const;
    for (const encoding of ROUNDED) {
      const { made, state } = await played(encoding, 5);
      const [share, distance] = expected[encoding];
      const [first, ...later] = fetched(state);
      expect(first).toEqual([whole, whole]);
      for (const bytes of later.flat()) expect(bytes).toBeLessThan(share * whole);
      const [newest, published] = [await weights(made, state), await weights(made, state, state.published!.parameters)];
      expect(state.published!.parameters).not.toEqual(state.parameters);
      expect(farthest(published, newest)).toBeLessThan(distance);
      expect(farthest(newest, target)).toBeLessThan(distance);
      expect(made.log.matching(/cannot be used/)).toEqual([]);
      expect(made.log.matching(new RegExp(`the parameters came as .* instead of .* \\(${encoding}\\)`))).toHaveLength(8);
    }
  });

  it('are what clients train from, and an update counts by what it changes of them', async () => {
    const made = await federation({ model: many });
    const begun: Float32Array[] = [];
    await made.join('c0', client('c0', (_round, global) => {
      begun.push(global.slice());
      return Promise.resolve();
    }));
    const state = await made.ends(await made.coordinator.submit(run(2, { broadcastEncoding: 'int4', minClients: 1, fraction: 1 })));
    // Younger than a minute: nothing has been collected.
    const before = await weights(made, state, state.rounds[0]!.aggregate!.parameters);
    const [sent] = updates(state).slice(1);
    const trained = await weights(made, state, sent);
    const after = await weights(made, state);
    // The newest parameters of round 1 plus what the client changed of those that it began with.
    const expectedValues = before.map((value, index) => value + (trained[index]! - begun[1]![index]!));
    expect(farthest(before, begun[1]!)).toBeGreaterThan(1e-3);
    expect(farthest(after, expectedValues)).toBeLessThan(1e-6);
  });

  it('are fetched whole by a client that does not hold those of the round before, or holds them damaged', async () => {
    const { state: expected } = await played('int8', 5, { updateEncoding: 'int4' });
    const made = await federation({ model: many });
    await made.join('c0', client('c0'));
    await made.join('c1', client('c1', async (round) => {
      const { published, parameters } = (await made.ledger.run(runId))!.state;
      const path = await findBlob(made, 'c1', (published?.parameters ?? parameters!).hash);
      if (round === 2) await rm(path);
      if (round === 4) await writeFile(path, 'damaged');
    }));
    const runId = await made.coordinator.submit(run(5, { broadcastEncoding: 'int8', updateEncoding: 'int4' }));
    const state = await made.ends(runId);
    expect(state.parameters).toEqual(expected.parameters);
    const whole = state.parameters!.byteLength;
    expect(fetched(state).map(([, bytes]) => bytes! >= whole)).toEqual([true, false, true, false, true]);
    expect(made.log.matching(/^warn the difference to the parameters of the round before cannot be used .*: they are fetched whole/)).toHaveLength(1);
  });

  it('survive a restart of the server and kills of a client in every round', async () => {
    const settings = { broadcastEncoding: 'int4', updateEncoding: 'int8' } as const;
    const { state: expected } = await played('int4', 4, settings);
    const made = await federation({ model: many });
    const never = new Promise<never>(() => undefined);
    const dead = new Set<string>();
    const die = (when: string): boolean => {
      if (dead.has(when)) return false;
      dead.add(when);
      void live();
      return true;
    };
    let round = 0;
    const live = async (): Promise<void> => {
      const through = (line: FederationConnection): FederationConnection => ({
        ...line,
        // In the middle of fetching, once a round.
        download: async (...args) => {
          await line.download(...args);
          if (die(`fetched ${args[0]}`)) await never;
        },
        leave: () => Promise.resolve(),
      });
      await made.join('c1', client('c1', (now) => {
        round = now;
        return Promise.resolve();
      }), undefined, through);
    };
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    await made.join('c0', client('c0', (now) => (now === 3 ? held : Promise.resolve())));
    await live();
    const runId = await made.coordinator.submit(run(4, settings));
    await made.reaches(runId, ({ rounds }) => rounds.at(2)?.participants.get('c1')?.outcome.state === 'accepted');
    await made.restart({ model: many });
    release();
    await until(async () => (await made.state(runId)).phase === 'finished', 'the run ends');
    const state = await made.state(runId);
    expect(round).toBe(4);
    expect(dead.size).toBeGreaterThanOrEqual(4);
    expect(state.parameters).toEqual(expected.parameters);
    expect(state.published).toEqual(expected.published);
    made.abandon();
  });

  it('may be read only by clients whose task names them', async () => {
    const made = await federation({ model: many });
    const [a, b] = [await new Puppet(made, 'a').join(), new Puppet(made, 'b')];
    await made.coordinator.submit(run(2, { broadcastEncoding: 'int8', minClients: 1 }));
    const first = await a.task();
    expect(first.instructions).toMatchObject({ broadcast: { encoding: 'int8', step: null } });
    await b.join();
    await made.coordinator.result(a.principal, await a.answer(first, encodeParameters(vector(initial.get('w')!.data.map((value) => value + 0.01)))));
    const second = await a.task();
    const { from, encoded } = (second.instructions['broadcast'] as { step: { from: BlobReference; encoded: BlobReference } }).step;
    expect(from).toEqual(first.parameters);
    for (const blob of [second.parameters, encoded]) await expect(made.coordinator.authorizeDownload(a.principal, blob.hash)).resolves.toBeUndefined();
    await expect(made.coordinator.authorizeDownload(a.principal, from.hash)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    const stranger = await new Puppet(made, 'c').join();
    await expect(made.coordinator.authorizeDownload(stranger.principal, encoded.hash)).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });
});

/** Where a client's store has a blob. */
async function findBlob(made: TestFederation, id: string, hash: string): Promise<string> {
  const found = (await readdir(made.homeOf(id), { recursive: true })).find((name) => name.endsWith(hash));
  if (found === undefined) throw new Error(`client ${id} has no blob ${hash}`);
  return join(made.homeOf(id), found);
}
