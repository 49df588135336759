import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { RunConfigInput, RunState, Task } from '@zk0/core';
import { openSafetensors } from '@zk0/storage';
import { clipAndNoise } from '@zk0/strategy';
import { describe, expect, it } from 'vitest';
import type { FederationConnection, LocalModel } from '../src/index.ts';
import { isWaitedFor } from '../src/run/secure/tasks.ts';
import { testFederations, type TestFederation } from './harness.ts';
import { client, farthest, many, run, undisturbed, updates, weights } from './many-numbers.ts';
import { until } from './two-numbers.ts';

const { federation } = testFederations();
const SECURE: RunConfigInput = { secureAggregation: { clip: 4, stageSeconds: 5 } };
const settings = (clients: number, more: RunConfigInput = {}): RunConfigInput => ({ minClients: clients, fraction: 1, ...more });

async function played(rounds: number, clients: number, more: RunConfigInput): Promise<{ readonly made: TestFederation; readonly state: RunState }> {
  const made = await federation({ model: many });
  const state = await undisturbed(made, rounds, settings(clients, more));
  expect(state.ending).toBeUndefined();
  return { made, state };
}

/** What a task asks for: `keys`, `shares`, `fit`, `unmask`. */
const stepOf = ({ kind }: Pick<Task, 'kind'>): string => kind.replace('secure-', '');

/** A line that goes dead as soon as a task of this kind comes, as if the client had been killed then. */
class Death {
  isDead = false;
  readonly #step: string;

  constructor(step: string) {
    this.#step = step;
  }

  readonly on = (line: FederationConnection): FederationConnection => {
    const never = new Promise<never>(() => undefined);
    return {
      ...line,
      poll: async (signal) => {
        const task = this.isDead ? null : await line.poll(signal);
        if (task !== null && stepOf(task) === this.#step) this.isDead = true;
        return this.isDead ? never : task;
      },
      heartbeat: (message) => (this.isDead ? never : line.heartbeat(message)),
      leave: () => Promise.resolve(),
    };
  };
}

/** Lets time pass whenever nobody is waited for but those who are dead, until the run is over. */
async function withoutWaitingFor(made: TestFederation, runId: string, deaths: Readonly<Record<string, Death>>): Promise<void> {
  await until(async () => {
    const state = await made.state(runId);
    const round = state.rounds.at(-1);
    const awaited = round?.phase !== 'training' ? [] : [...round.participants.keys()].filter((clientId) => isWaitedFor(round, clientId));
    if (awaited.length > 0 && awaited.every((clientId) => deaths[clientId]?.isDead === true)) made.clock.advance(1000);
    return state.phase === 'finished' || state.phase === 'failed';
  }, 'the run ends');
}

describe('a run with secure aggregation', () => {
  it.each(['fedavg', 'fedprox', 'diloco', 'fedadam', 'fedavgm', 'fault-tolerant-fedavg'])('of %s comes to what it comes to without, within the rounding', async (name) => {
    const strategy = { name };
    const [plain, secure] = [await played(3, 4, { strategy }), await played(3, 4, { strategy, ...SECURE })];
    expect(farthest(await weights(secure.made, secure.state), await weights(plain.made, plain.state))).toBeLessThan(name === 'fedadam' ? 1e-4 : 2e-6);
    expect(secure.state.rounds.map(({ aggregate }) => aggregate!.metrics['num_clients'])).toEqual([4, 4, 4]);
    expect(secure.state.rounds.at(-1)!.aggregate!.metrics['loss']).toBe(1);
    // What the ledger remembers of rounds that are over has no part in what memory holds.
    expect(secure.state.rounds.map((round) => round.secure)).toEqual([undefined, undefined, undefined]);
  });

  it('shows the server vectors that are noise, however large they are, and the same sum of them each time', async () => {
    const runs = [await played(1, 3, SECURE), await played(1, 3, SECURE)];
    expect(runs[0]!.state.parameters).toEqual(runs[1]!.state.parameters);
    const hashes = runs.flatMap(({ state }) => updates(state).map(({ hash }) => hash));
    expect(new Set(hashes).size).toBe(6);
    const file = await openSafetensors(runs[0]!.made.blobs.path(hashes[0]!));
    expect(file.specs).toEqual([{ name: 'masked', dtype: 'U32', shape: [2001] }]);
    const values = new Int32Array(2001);
    await file.readBytes('masked', 0, new Uint8Array(values.buffer));
    await file.close();
    // Every bit is set as often as not: of the plain vector, the upper bits of each value are those of its sign, and the weights are all the same.
    for (let bit = 0; bit < 32; bit++) {
      const set = values.reduce((sum, value) => sum + ((value >>> bit) & 1), 0);
      expect(Math.abs(set / 2001 - 0.5), `bit ${bit}`).toBeLessThan((5 * 0.5) / Math.sqrt(2001));
    }
    for (const { state } of runs) for (const { clientId } of updates(state)) expect(state.rounds[0]!.participants.get(clientId)!.outcome).toMatchObject({ numExamples: 1 });
  });

  it.each(['keys', 'shares', 'fit', 'unmask'])('goes on without a client that dies when it is asked for: %s', async (step) => {
    const made = await federation({ model: many });
    for (const id of ['c0', 'c1', 'c2', 'c3']) await made.join(id, client(id));
    const death = new Death(step);
    await made.join('c4', client('c4'), undefined, death.on);
    made.abandon();
    const runId = await made.coordinator.submit(run(1, settings(4, { ...SECURE, roundDeadlineSeconds: 20 })));
    await withoutWaitingFor(made, runId, { c4: death });
    const state = await made.state(runId);
    expect(state.phase).toBe('finished');
    const counted = updates(state).map(({ clientId }) => clientId).sort();
    expect(counted).toEqual(['c0', 'c1', 'c2', 'c3', ...(step === 'unmask' ? ['c4'] : [])]);
    const plain = await federation({ model: many });
    for (const id of counted) await plain.join(id, client(id));
    const target = await plain.ends(await plain.coordinator.submit(run(1, settings(counted.length))));
    expect(farthest(await weights(made, state), await weights(plain, target))).toBeLessThan(2e-6);
  });

  it('skips a round of which too few are left, and counts nothing of it', async () => {
    const made = await federation({ model: many });
    for (const id of ['c0', 'c1']) await made.join(id, client(id));
    const [c2, c3] = [new Death('unmask'), new Death('unmask')];
    await made.join('c2', client('c2'), undefined, c2.on);
    await made.join('c3', client('c3'), undefined, c3.on);
    made.abandon();
    const runId = await made.coordinator.submit(run(1, settings(4, { ...SECURE, roundDeadlineSeconds: 20 })));
    await withoutWaitingFor(made, runId, { c2, c3 });
    const state = await made.state(runId);
    expect(state.rounds[0]).toMatchObject({ phase: 'skipped', skippedBecause: expect.stringContaining('of 3 shares needed') as string });
    expect(state.parameters).toEqual(state.initialParameters);
  });

  it('in a ring of neighbours, with clients to spare, and parameters that go down as differences', async () => {
    const made = await federation({ model: many });
    for (let index = 0; index < 8; index++) await made.join(`c${index}`, client(`c${index}`));
    const more: RunConfigInput = { fraction: 0.5, overSelection: 1, broadcastEncoding: 'delta', seed: 3 };
    const [plain, secure] = [run(3, settings(4, more)), run(3, settings(4, { ...more, secureAggregation: { clip: 4, neighbours: 4, threshold: 0.5 } }))];
    const state = await made.ends(await made.coordinator.submit({ ...secure, maxParallel: 2 }));
    expect(state.phase).toBe('finished');
    // As many as it takes to take the masks off, and more than the round wants where these are too few.
    for (const { participants } of state.rounds) {
      const outcomes = [...participants.values()].map(({ outcome }) => outcome.state);
      expect(outcomes.filter((outcome) => outcome === 'accepted').length).toBeGreaterThan(4);
      expect(outcomes.filter((outcome) => outcome !== 'accepted' && outcome !== 'unneeded')).toEqual([]);
    }
    expect((await made.ends(await made.coordinator.submit(plain))).phase).toBe('finished');
  });

  it('adds what clients have made private themselves: their noise is under the masks, and in the sum', async () => {
    const [clippingNorm, noiseMultiplier] = [1, 0.05];
    const privately = (id: string): LocalModel => {
      const model = client(id);
      return {
        ...model,
        fit: async (task, global, options) => {
          const result = await model.fit(task, global, options);
          const secret = new Uint8Array(32).fill(id.charCodeAt(1));
          return { ...result, parameters: await clipAndNoise(result.parameters, global, { clippingNorm, noiseMultiplier, secret, purpose: String(task.fit.round) }) };
        },
      };
    };
    const found: Float32Array[] = [];
    for (const more of [{}, SECURE]) {
      const made = await federation({ model: many });
      for (const id of ['c0', 'c1', 'c2']) await made.join(id, privately(id));
      found.push(await weights(made, await made.ends(await made.coordinator.submit(run(2, settings(3, more))))));
    }
    expect(farthest(found[0]!, found[1]!)).toBeLessThan(2e-6);
  });

  it('keeps its secrets where nobody else reads them, and none when it is over', async () => {
    const made = await federation({ model: many });
    await undisturbed(made, 2, settings(3, SECURE));
    const path = join(made.homeOf('c0'), 'secure', 'secure-round.json');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await until(() => (JSON.parse(readFileSync(path, 'utf8')) as { current: unknown }).current === null, 'the secrets are gone');
    expect((JSON.parse(readFileSync(path, 'utf8')) as { begun: unknown[][] }).begun[0]![1]).toBe(2);
  });
});

describe('what is refused when a run is submitted', () => {
  it.each<[string, RunConfigInput, string]>([
    ['a robust rule', { strategy: { name: 'krum' } }, 'strategy krum needs single updates'],
    ['a robust rule inside an optimiser', { strategy: { name: 'fedadam', inner: { name: 'fedmedian' } } }, 'strategy fedadam(fedmedian) needs single updates'],
    ['weights by loss', { strategy: { name: 'qfedavg', learningRate: 0.1 } }, 'strategy qfedavg needs single updates'],
    ['control variates', { strategy: { name: 'scaffold' } }, 'strategy scaffold needs single updates'],
    ['buffers', { strategy: { name: 'fedbuff' } }, 'strategy fedbuff needs single updates'],
    ['central privacy', { strategy: { name: 'dp-fixed', clippingNorm: 1, noiseMultiplier: 1 } }, 'strategy dp-fixed needs single updates'],
    ['a guard on norms', { strategy: { name: 'fedavg', guards: { maxUpdateNorm: 1 } } }, 'guards.maxUpdateNorm'],
    ['encodings', { updateEncoding: 'int8' }, 'the encoding int8'],
    ['factors', { loraRank: 16 }, 'loraRank 16'],
    ['steps by speed', { localStepsBySpeed: 2 }, 'localStepsBySpeed'],
    ['two clients', { minClients: 2 }, 'minClients is 2'],
  ])('%s', async (_, more, message) => {
    const made = await federation({ model: many });
    const input = run(1, settings(3, { ...SECURE, ...more }));
    await expect(made.coordinator.submit(input)).rejects.toThrow(`secureAggregation: `);
    await expect(made.coordinator.submit(input)).rejects.toThrow(message);
  });
});
