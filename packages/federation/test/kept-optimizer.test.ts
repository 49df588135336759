import { join } from 'node:path';
import { Zk0Error, type Parameters, type RunState } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import { connectLocally, ControlStore, OptimizerStore, Participant, ResidualStore, SecretStore, type FederationConnection, type LocalModel } from '../src/index.ts';
import { testFederations, type TestFederation } from './harness.ts';
import { config, fitWithMomentum, localModel, numbers, until } from './two-numbers.ts';

const { scratch, federation } = testFederations();

const keeping = (rounds: number, minClients: number, more = {}) => config({ rounds, minClients, clientOptimizer: 'keep', seed: 3, ...more });

/** A client with momentum; `before` looks at each task first, and may spoil what comes of it. */
function momentum(name: string, target: readonly number[], before: (round: number, stepsTaken: number) => Parameters | undefined = () => undefined): LocalModel {
  return {
    profile: () => ({ name, examples: 10 }),
    fit: async (task, global, options) => {
      const spoiled = before(task.fit.round, options.optimizer?.state?.stepsTaken ?? 0);
      const result = await fitWithMomentum(task, global, target, options);
      return spoiled === undefined ? result : { ...result, parameters: spoiled };
    },
  };
}

async function finished(made: TestFederation, runId: string): Promise<RunState> {
  await until(async () => {
    // Time passes where a skipped round is followed by a pause.
    made.clock.advance(1000);
    return (await made.state(runId)).phase !== 'running' && (await made.state(runId)).rounds.length > 0;
  }, 'the run ends');
  return made.ends(runId);
}

describe('the moments of a client’s optimiser', () => {
  it('go on from the last update that counted: not from one that was refused, nor from one of a skipped round', async () => {
    const made = await federation();
    const steps = new Map<string, number[]>();
    const note = (name: string, then: (round: number) => Parameters | undefined = () => undefined) => (round: number, stepsTaken: number): Parameters | undefined => {
      steps.set(name, [...(steps.get(name) ?? []), stepsTaken]);
      return then(round);
    };
    const broken = (): never => {
      throw new Zk0Error('ROBOT_BROKEN', 'the arm has come off');
    };
    await made.join('a', momentum('a', [1, 2], note('a')));
    await made.join('b', momentum('b', [3, 4], note('b', (round) => (round === 3 ? broken() : undefined))));
    await made.join('c', momentum('c', [5, 9], note('c', (round) => (round === 2 ? numbers(NaN, 0) : round === 3 ? broken() : undefined))));
    const runId = await made.coordinator.submit(keeping(4, 2));
    const { rounds } = await finished(made, runId);
    expect(rounds.map(({ phase }) => phase)).toEqual(['done', 'done', 'skipped', 'done']);
    expect(rounds[1]!.participants.get('c')!.outcome.state).toBe('refused');
    expect(rounds[2]!.participants.get('a')!.outcome.state).toBe('accepted');
    expect(Object.fromEntries(steps)).toEqual({ a: [0, 1, 2, 2], b: [0, 1, 2, 2], c: [0, 1, 1, 1] });
    expect(made.log.matching(/moments/)).toEqual([]);
  });

  it('begin anew in the next run, and in every round of a run that does not keep them', async () => {
    const made = await federation();
    const seen: number[] = [];
    await made.join('a', momentum('a', [1, 2], (_round, stepsTaken) => {
      seen.push(stepsTaken);
      return undefined;
    }));
    for (const clientOptimizer of ['keep', 'keep', 'restart'] as const) await finished(made, await made.coordinator.submit(keeping(2, 1, { clientOptimizer })));
    expect(seen).toEqual([0, 1, 0, 1, 0, 0]);
  });

  it('that a model does not give fail its round, by name', async () => {
    const made = await federation();
    await made.join('a', localModel('a', [1, 2]));
    const state = await made.ends(await made.coordinator.submit(keeping(1, 1)));
    expect(state.rounds[0]!.participants.get('a')!.outcome).toMatchObject({ state: 'refused', code: 'TASK_REFUSED' });
  });

  it('are refused with factors of low rank when the run is submitted', async () => {
    const made = await federation();
    await expect(made.coordinator.submit(keeping(1, 1, { loraRank: 16 }))).rejects.toThrow(/clientOptimizer keep: the run trains factors of low rank/);
  });
});

/** A client's process, which dies when it has done so many things: each is done then, and what follows from it is not. */
class Mortal {
  /** Things done so far. */
  count = 0;
  readonly #diesAt: number;

  constructor(diesAt: number) {
    this.#diesAt = diesAt;
  }

  isDead(): boolean {
    return this.count >= this.#diesAt;
  }

  /** Counts the calls of these methods; nothing of the target works after death. */
  wrap<T extends object>(target: T, counted: readonly (keyof T)[]): T {
    return new Proxy(target, {
      get: (object, key) => {
        const value = Reflect.get(object, key, object) as unknown;
        if (typeof value !== 'function') return value;
        return (...args: unknown[]): unknown => {
          const call = (): unknown => (value as (...args: unknown[]) => unknown).apply(object, args);
          if (!counted.includes(key as keyof T)) return this.isDead() ? Promise.reject(new Error('dead')) : call();
          return this.#counted(call);
        };
      },
    });
  }

  async #counted(call: () => unknown): Promise<unknown> {
    if (this.isDead()) throw new Error('dead');
    const answer = await call();
    this.count++;
    if (this.isDead()) throw new Error('dead');
    return answer;
  }
}

let homes = 0;

/** A run of three rounds with two clients, of which `b` dies once and comes back. */
async function federate(diesAt: number): Promise<{ readonly hash: string; readonly instants: number; readonly lives: number; readonly warnings: string[] }> {
  const made = await federation();
  const home = join(scratch.path, `killed-${homes++}`);
  let [instants, lives] = [0, 0];
  const live = async (): Promise<void> => {
    const mortal = new Mortal(lives++ === 0 ? diesAt : Number.POSITIVE_INFINITY);
    const blobs = mortal.wrap(await scratch.blobs(join(home, 'b')), ['put', 'putFile', 'collect', 'verifiedFile']);
    const connection = connectLocally(() => made.server, 'b');
    const line: FederationConnection = mortal.wrap(connection, ['download', 'upload', 'result']);
    const participant = new Participant({
      connection: line,
      model: mortal.wrap(momentum('b', [3, 4]), ['fit']),
      blobs,
      controls: mortal.wrap(new ControlStore(join(home, 'control'), 'b', blobs), ['save']),
      optimizers: mortal.wrap(new OptimizerStore(join(home, 'optimizer'), 'b'), ['write', 'name']),
      residuals: new ResidualStore(join(home, 'residual'), 'b'),
      secrets: new SecretStore(join(home, 'secure'), 'b'),
      name: 'b',
      agent: 'test',
      log: made.log,
    });
    await participant.run(made.stop.signal).catch((error: unknown) => {
      if (!mortal.isDead()) throw error;
    });
    instants = Math.max(instants, mortal.count);
    if (mortal.isDead() && !made.stop.signal.aborted) await live();
  };
  await made.join('a', momentum('a', [1, 2]));
  const life = live();
  const { parameters, phase } = await made.ends(await made.coordinator.submit(keeping(3, 2, { strategy: { name: 'scaffold' } })));
  expect(phase).toBe('finished');
  made.stop.abort();
  await life;
  return { hash: parameters!.hash, instants, lives, warnings: made.log.matching(/^warn .*lost/) };
}

it('a client that is killed at any instant of any round goes on to the very same bytes', { timeout: 120_000 }, async () => {
  const undisturbed = await federate(Number.POSITIVE_INFINITY);
  expect(undisturbed.lives).toBe(1);
  expect(undisturbed.instants).toBeGreaterThan(30);
  for (let diesAt = 1; diesAt <= undisturbed.instants; diesAt++) {
    const { hash, lives, warnings } = await federate(diesAt);
    expect({ hash, lives, warnings }, `killed at instant ${diesAt}`).toEqual({ hash: undisturbed.hash, lives: 2, warnings: [] });
  }
});
