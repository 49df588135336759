import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Zk0Error, type RunEvent } from '@zk0/core';
import { afterAll, expect } from 'vitest';
import { ControlStore, Coordinator, connectLocally, Ledger, OptimizerStore, Participant, ResidualStore, SecretStore, type LedgerStore, type LocalModel, type LocalServer } from '../src/index.ts';
import { FakeClock, MemoryLedgerStore } from '../src/testing.ts';
import { config, fitWithMomentum, Scratch, TwoNumbers, until } from './two-numbers.ts';

export const scratch = new Scratch();
afterAll(() => {
  scratch.remove();
});

const never = new Promise<never>(() => undefined);

/** A process that can die: whatever it had begun never ends, and nothing begins any more. */
export class Process {
  dead = false;

  wrap<T extends object>(target: T): T {
    return new Proxy(target, {
      get: (object, key) => {
        const value = Reflect.get(object, key, object) as unknown;
        if (typeof value !== 'function') return value;
        return (...args: unknown[]): unknown => {
          const result = (value as (...args: unknown[]) => unknown).apply(object, args);
          if (!(result instanceof Promise)) return result;
          if (this.dead) return never;
          return result.then((answer: unknown) => (this.dead ? never : answer));
        };
      },
    });
  }
}

/** Counts what is written, and tells when it is so much. */
export class CountingStore extends MemoryLedgerStore {
  readonly runIds: string[] = [];
  written = 0;
  readonly last = new Map<string, RunEvent>();
  readonly #counts = new Map<string, number>();
  onAppend: () => void = () => undefined;

  override async append(...args: Parameters<LedgerStore['append']>): Promise<boolean> {
    const isNext = await super.append(...args);
    if (!isNext) return false;
    const runId = args[0];
    const event = JSON.parse(args[1].event) as RunEvent;
    if (!this.runIds.includes(runId)) this.runIds.push(runId);
    this.written++;
    this.last.set(runId, event);
    const kinds = [event.type, ...('round' in event ? [`${event.type} ${event.round}`] : [])];
    for (const kind of kinds) this.#counts.set(`${runId} ${kind}`, this.#count(runId, kind) + 1);
    this.onAppend();
    return true;
  }

  /** How often something happened in the run that was submitted as the n-th, from 0, or in a round of it. */
  happened(run: number, type: RunEvent['type'], round?: number): number {
    return this.#count(this.runIds[run], round === undefined ? type : `${type} ${round}`);
  }

  #count(runId: string | undefined, kind: string): number {
    return this.#counts.get(`${String(runId)} ${kind}`) ?? 0;
  }
}

/** A server in this process, and the process that it is said to run in. */
export interface MortalServer extends LocalServer {
  readonly coordinator: Coordinator;
  readonly process: Process;
}

/** A server that dies when `killAfter` entries are written. `startServer` starts one on what the last one left; `at.server` is null while there is none. */
export async function mortalServer(home: string, killAfter: number): Promise<{
  readonly store: CountingStore;
  readonly clock: FakeClock;
  /** Ends all servers in order. */
  readonly stop: AbortController;
  readonly at: { server: MortalServer | null };
  readonly startServer: () => Promise<void>;
}> {
  const store = new CountingStore();
  const clock = new FakeClock();
  const serverBlobs = await scratch.blobs(join(home, 'server'));
  const stop = new AbortController();
  const at: { server: MortalServer | null } = { server: null };
  const startServer = async (): Promise<void> => {
    const process = new Process();
    store.onAppend = () => {
      if (store.written !== killAfter) return;
      process.dead = true;
      at.server = null;
    };
    const ledger = await Ledger.open(process.wrap<LedgerStore>(store), clock);
    const leases = { acquire: () => Promise.resolve({ name: '', holder: '', expiresAt: 0 }), release: () => Promise.resolve() };
    const blobs = process.wrap(serverBlobs);
    const coordinator = new Coordinator({ ledger, leases, blobs, model: new TwoNumbers(), scratchDirectory: join(scratch.path, home, 'scratch'), clock });
    void coordinator.run(stop.signal);
    at.server = { service: process.wrap(coordinator), blobs, coordinator, process };
  };
  return { store, clock, stop, at, startServer };
}

/** What a federation came to. */
interface Outcome {
  readonly events: number;
  /** Of each run: how it ended, the hash of its last parameters, which clients counted in which round. */
  readonly runs: readonly { readonly phase: string; readonly hash: string | undefined; readonly counted: readonly string[] }[];
}

let federations = 0;

/**
 * Three clients, three runs: in the first, which keeps moments, round 2 lacks a refused update and round 3 a late one, and an update of round 4 comes twice; the
 * second is stopped while it waits for its turn. The server dies when `killAfter` entries are written, and another one goes on.
 */
async function federate(killAfter: number, clientOptimizer: 'keep' | 'restart' = 'keep'): Promise<Outcome> {
  const home = `federation-${federations++}`;
  const { store, clock, stop, at, startServer } = await mortalServer(home, killAfter);
  /** Asks the server that is there, and the next one when it dies meanwhile: an operator does the same. */
  const ask = async (work: (coordinator: Coordinator) => Promise<unknown>, isDone: () => boolean): Promise<void> => {
    while (!isDone()) {
      const asked = at.server;
      if (asked === null) await startServer();
      else {
        void work(asked.process.wrap(asked.coordinator));
        await until(() => isDone() || at.server !== asked, 'the server answers');
      }
    }
  };
  const { runIds } = store;
  const happened = store.happened.bind(store);

  const model = (name: string, target: readonly number[]): LocalModel => ({
    profile: () => ({ name, examples: 10 }),
    fit: async (task, global, options) => {
      const { round } = task.fit;
      if (name === 'c' && task.runId === runIds[0]) {
        if (round === 2) throw new Zk0Error('ROBOT_BROKEN', 'the arm has come off');
        // What it has is ready when the round is over.
        if (round === 3) await until(() => happened(0, 'round-skipped', 3) > 0 || stop.signal.aborted, 'round 3 is skipped');
      }
      return fitWithMomentum(task, global, target, options);
    },
  });
  const replies: string[] = [];
  const startClient = async (id: string, target: readonly number[]): Promise<void> => {
    const blobs = await scratch.blobs(join(home, id));
    const connection = connectLocally(() => at.server, id);
    const participant = new Participant({
      connection: {
        ...connection,
        result: async (result, signal) => {
          const reply = await connection.result(result, signal);
          replies.push(`${id}/${result.round}: ${reply.status}`);
          if (result.round !== 4 || id !== 'b' || result.runId !== runIds[0]) return reply;
          const again = await connection.result(result, signal);
          replies.push(`${id}/${result.round} again: ${again.status}`);
          return reply;
        },
        leave: () => Promise.resolve(),
      },
      model: model(id, target),
      blobs,
      controls: new ControlStore(join(scratch.path, home, id, 'control'), id, blobs),
      optimizers: new OptimizerStore(join(scratch.path, home, id, 'optimizer'), id),
      residuals: new ResidualStore(join(scratch.path, home, id, 'residual'), id),
      secrets: new SecretStore(join(scratch.path, home, id, 'secure'), id),
      name: id,
      agent: 'test',
    });
    await participant.run(stop.signal);
  };

  await startServer();
  await ask((coordinator) => coordinator.submit(config({ rounds: 5, minClients: 3, roundDeadlineSeconds: 10, seed: 1, clientOptimizer })), () => runIds.length >= 1);
  await ask((coordinator) => coordinator.submit(config({ rounds: 1, minClients: 3 })), () => runIds.length >= 2);
  await ask((coordinator) => coordinator.submit(config({ rounds: 2, minClients: 3, strategy: { name: 'fedadam' }, seed: 2, updateEncoding: 'int4', broadcastEncoding: 'int8' })), () => runIds.length >= 3);
  await ask((coordinator) => coordinator.stop('not needed', runIds[1]), () => happened(1, 'run-stop-requested') > 0);
  const clients = Promise.all([startClient('a', [1, 2]), startClient('b', [3, 4]), startClient('c', [5, 9])]);
  while (happened(2, 'run-finished') === 0) {
    if (at.server === null) await startServer();
    // Time passes only where somebody waits for it: for the deadline of round 3, and after a skipped round.
    const isLate = happened(0, 'update-accepted', 3) === 2 && happened(0, 'round-closed', 3) === 0;
    if (isLate || store.last.get(runIds[0]!)?.type === 'round-skipped') clock.advance(1000);
    await wait(3);
  }
  await until(() => replies.length > 0, 'somebody answered');
  stop.abort();
  await clients;

  const ledger = await Ledger.open(store, clock);
  const runs = await Promise.all(
    runIds.map(async (runId) => {
      const { state } = (await ledger.run(runId))!;
      const counted = state.rounds.flatMap(({ round, participants }) => [...participants].flatMap(([id, { outcome }]) => (outcome.state === 'accepted' ? [`${id}/${round}`] : [])));
      return { phase: state.phase, hash: state.parameters?.hash, counted: counted.sort() };
    }),
  );
  return { events: store.written, runs };
}

/** The federation that nobody disturbs, and what must hold of it for the kills to mean anything. */
async function undisturbedFederation(): Promise<Outcome> {
  const undisturbed = await federate(Number.POSITIVE_INFINITY);
  expect(undisturbed.runs.map(({ phase }) => phase)).toEqual(['finished', 'stopped', 'finished']);
  expect(undisturbed.runs[0]!.counted).toEqual(['a/1', 'a/2', 'a/3', 'a/4', 'a/5', 'b/1', 'b/2', 'b/3', 'b/4', 'b/5', 'c/1', 'c/4', 'c/5']);
  expect(undisturbed.runs[2]!.counted).toHaveLength(6);
  expect(undisturbed.runs[0]!.hash).not.toEqual(undisturbed.runs[2]!.hash);
  // Kept moments are part of what is computed.
  expect((await federate(Number.POSITIVE_INFINITY, 'restart')).runs[0]!.hash).not.toEqual(undisturbed.runs[0]!.hash);
  expect(undisturbed.events).toBeGreaterThan(56);
  return undisturbed;
}

/** Kills the server after each `step`-th event from the `first` on, in a federation of its own; all must come to the same. */
export async function expectKillsChangeNothing(first: number, step: number): Promise<void> {
  const undisturbed = await undisturbedFederation();
  const kills = Array.from({ length: Math.ceil((undisturbed.events - first) / step) }, (_, index) => first + step * index);
  expect(kills.length).toBeGreaterThan(55 / step - 1);
  const next = kills.values();
  await Promise.all(
    Array.from({ length: 2 }, async () => {
      for (const killAfter of next) {
        const { runs } = await federate(killAfter);
        expect(runs, `killed after event ${killAfter}`).toEqual(undisturbed.runs);
      }
    }),
  );
}
