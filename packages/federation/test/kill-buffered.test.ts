import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { ControlStore, connectLocally, Ledger, OptimizerStore, Participant, ResidualStore, SecretStore } from '../src/index.ts';
import { mortalServer, scratch } from './killed-federation.ts';
import { config, fitWithMomentum, until } from './two-numbers.ts';

/** Which client answers its task of which round, in this order. Two updates close a round, so c answers two versions late, and b one. */
const ANSWERS = ['a/1', 'b/1', 'b/2', 'a/2', 'c/1', 'a/3', 'c/4', 'b/3', 'b/5', 'c/5', 'b/6', 'c/6', 'a/7', 'b/7'];
const ROUNDS = 7;
/** Answers in the last round, three versions late. */
const TOO_OLD = 'a/4';

interface Outcome {
  readonly events: number;
  readonly hash: string | undefined;
  /** Who counted in which round, with the round of the task. */
  readonly counted: readonly string[];
  readonly replies: readonly string[];
}

let federations = 0;

/** A run of buffered rounds. The server dies when `killAfter` entries are written, and another one goes on. */
async function federate(killAfter: number): Promise<Outcome> {
  const home = `buffered-${federations++}`;
  const { store, clock, stop, at, startServer } = await mortalServer(home, killAfter);
  const replies = new Set<string>();
  const startClient = async (id: string, target: readonly number[]): Promise<void> => {
    const blobs = await scratch.blobs(join(home, id));
    const connection = connectLocally(() => at.server, id);
    await new Participant({
      connection: {
        ...connection,
        result: async (result, signal) => {
          const reply = await connection.result(result, signal);
          // A crash may lose the reply to an accepted result: the next server then answers that it has it already.
          replies.add(`${id}/${result.round}: ${reply.status === 'duplicate' ? 'accepted' : reply.status} ${reply.code ?? ''}`.trim());
          return reply;
        },
        leave: () => Promise.resolve(),
      },
      model: {
        profile: () => ({ name: id, examples: 10 }),
        fit: async (task, global, options) => {
          const name = `${id}/${task.fit.round}`;
          const turn = ANSWERS.indexOf(name);
          const isDue = (): boolean => {
            if (turn >= 0) return store.happened(0, 'update-accepted') >= turn;
            return name === TOO_OLD ? store.happened(0, 'round-configured', ROUNDS) > 0 : store.happened(0, 'run-finished') > 0;
          };
          await until(() => isDue() || stop.signal.aborted, `the turn of ${id}/${task.fit.round} comes`);
          return fitWithMomentum(task, global, target, options);
        },
      },
      blobs,
      controls: new ControlStore(join(scratch.path, home, id, 'control'), id, blobs),
      optimizers: new OptimizerStore(join(scratch.path, home, id, 'optimizer'), id),
      residuals: new ResidualStore(join(scratch.path, home, id, 'residual'), id),
      secrets: new SecretStore(join(scratch.path, home, id, 'secure'), id),
      name: id,
      agent: 'test',
    }).run(stop.signal);
  };

  const settings = config({
    rounds: ROUNDS, minClients: 3, seed: 1, strategy: { name: 'fedbuff', bufferSize: 2, maxStaleness: 2 },
    clientOptimizer: 'keep', updateEncoding: 'int8', broadcastEncoding: 'int8',
  });
  while (store.runIds.length === 0) {
    if (at.server === null) await startServer();
    await at.server!.coordinator.submit(settings);
  }
  const clients = Promise.all([startClient('a', [1, 2]), startClient('b', [3, 4]), startClient('c', [5, 9])]);
  while (store.happened(0, 'run-finished') === 0) {
    if (at.server === null) await startServer();
    await wait(3);
  }
  stop.abort();
  await clients;
  const { state } = (await (await Ledger.open(store, clock)).run(store.runIds[0]!))!;
  expect(state.phase).toBe('finished');
  const counted = state.rounds.flatMap(({ round, participants }) => [...participants].flatMap(([id, { outcome, task }]) => (outcome.state === 'accepted' ? [`${round}: ${id}/${task?.round ?? round}`] : [])));
  // Whoever has not heard the answer when the run ends is not waited for.
  const heard = [...replies].filter((reply) => !reply.includes(`/${ROUNDS}:`)).sort();
  return { events: store.written, hash: state.parameters?.hash, counted, replies: heard };
}

it('a server that is killed after any event of buffered rounds goes on to the very same bytes, and refuses what is too old', { timeout: 300_000 }, async () => {
  const undisturbed = await federate(Number.POSITIVE_INFINITY);
  expect(undisturbed.counted.map((entry) => entry.split(': ')[1]).sort()).toEqual([...ANSWERS].sort());
  expect(undisturbed.counted).toContain('3: c/1');
  expect(undisturbed.counted).toContain('4: b/3');
  expect(undisturbed.replies).toContain(`${TOO_OLD}: rejected UPDATE_STALE`);
  expect(undisturbed.events).toBeGreaterThan(45);
  const kills = Array.from({ length: undisturbed.events - 2 }, (_, index) => index + 2).values();
  await Promise.all(
    Array.from({ length: 2 }, async () => {
      for (const killAfter of kills) {
        const { hash, counted, replies } = await federate(killAfter);
        expect({ hash, counted }, `killed after event ${killAfter}`).toEqual({ hash: undisturbed.hash, counted: undisturbed.counted });
        // A heartbeat may tell a client earlier that its task is too old: it then sends nothing.
        expect(undisturbed.replies, `killed after event ${killAfter}`).toEqual(expect.arrayContaining([...replies]));
      }
    }),
  );
});
