import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { ControlStore, connectLocally, Ledger, OptimizerStore, Participant, ResidualStore, SecretStore, type FederationConnection } from '../src/index.ts';
import { mortalServer, scratch } from './killed-federation.ts';
import { config, fitWithMomentum, localModel, until } from './two-numbers.ts';

const TARGETS = { a: [1, 2], b: [3, 4], c: [5, 9], d: [-2, 0.5] } as const;
const RUN = config({ rounds: 2, minClients: 4, strategy: { name: 'diloco' }, seed: 3, clientOptimizer: 'keep', secureAggregation: { clip: 16 } });

/** The steps of a client in the run, as it is asked for them. */
const STEPS = [1, 2].flatMap((round) => ['secure-keys', 'secure-shares', 'fit', 'secure-unmask'].map((kind) => `${round} ${kind}`));

interface Deaths {
  /** The server dies when so many entries are written. */
  readonly server?: number;
  /** Client b dies at this step: before it does anything, or when it has done all and its answer has not left, or when it has. */
  readonly client?: { readonly step: string; readonly when: 'asked' | 'answering' | 'answered' };
}

let federations = 0;

async function federate({ server = Number.POSITIVE_INFINITY, client }: Deaths): Promise<{ readonly events: number; readonly hash: string | undefined; readonly counted: readonly string[]; readonly hasDied: boolean }> {
  const home = `secure-${federations++}`;
  const { store, clock, stop, at, startServer } = await mortalServer(home, server);
  const lives: Promise<void>[] = [];
  let mayDie = client !== undefined;

  const start = async (id: keyof typeof TARGETS): Promise<void> => {
    const blobs = await scratch.blobs(join(home, id));
    const kept = (what: string): string => join(scratch.path, home, id, what);
    const line = connectLocally(() => at.server, id);
    const death = new AbortController();
    let step = '';
    const die = (when: string): void => {
      if (id !== 'b' || !mayDie || client?.step !== step || client.when !== when) return;
      mayDie = false;
      death.abort();
      void start(id);
      throw new Error('killed');
    };
    const connection: FederationConnection = {
      ...line,
      poll: async (signal) => {
        const task = await line.poll(signal);
        if (task !== null) {
          step = `${task.round} ${task.kind}`;
          die('asked');
        }
        return task;
      },
      result: async (result, signal) => {
        die('answering');
        const reply = await line.result(result, signal);
        die('answered');
        return reply;
      },
      leave: () => Promise.resolve(),
    };
    const participant = new Participant({
      connection, blobs, name: id, agent: 'test',
      model: localModel(id, TARGETS[id], { fit: (task, global, options) => fitWithMomentum(task, global, TARGETS[id], options) }),
      controls: new ControlStore(kept('control'), id, blobs),
      optimizers: new OptimizerStore(kept('optimizer'), id),
      residuals: new ResidualStore(kept('residual'), id),
      secrets: new SecretStore(kept('secure'), id),
    });
    lives.push(participant.run(AbortSignal.any([stop.signal, death.signal])));
    await Promise.resolve();
  };

  await startServer();
  while (store.runIds.length === 0) {
    if (at.server === null) await startServer();
    const asked = at.server!;
    void asked.process.wrap(asked.coordinator).submit(RUN);
    await until(() => store.runIds.length > 0 || at.server !== asked, 'the run is submitted');
  }
  await Promise.all((Object.keys(TARGETS) as (keyof typeof TARGETS)[]).map(start));
  while (store.happened(0, 'run-finished') + store.happened(0, 'run-failed') === 0) {
    if (at.server === null) await startServer();
    await wait(3);
  }
  stop.abort();
  await Promise.allSettled(lives);
  const { state } = (await (await Ledger.open(store, clock)).run(store.runIds[0]!))!;
  const counted = state.rounds.flatMap(({ round, participants }) => [...participants].flatMap(([id, { outcome }]) => (outcome.state === 'accepted' ? [`${id}/${round}`] : [])));
  return { events: store.written, hash: state.parameters?.hash, counted: counted.sort(), hasDied: client !== undefined && !mayDie };
}

const ALL = ['a/1', 'a/2', 'b/1', 'b/2', 'c/1', 'c/2', 'd/1', 'd/2'];

it('a server that is killed after any event of secure aggregation goes on to the very same bytes', { timeout: 300_000 }, async () => {
  const { hash, counted, events } = await federate({});
  expect(counted).toEqual(ALL);
  // The last masks are off when enough have answered, so that not every run has as many entries.
  for (let killAfter = 2; killAfter < events - 4; killAfter++) {
    expect(await federate({ server: killAfter }), `killed after event ${killAfter}`).toMatchObject({ hash, counted: ALL });
  }
});

it('a client that is killed at any step goes on with its secrets to the very same bytes', { timeout: 300_000 }, async () => {
  const { hash } = await federate({});
  for (const step of STEPS) {
    for (const when of ['asked', 'answering', 'answered'] as const) {
      const killed = await federate({ client: { step, when } });
      expect(killed, `killed at ${step}, ${when}`).toMatchObject({ hash, counted: ALL });
      // Masks may be off before it is asked.
      if (!step.includes('unmask')) expect(killed.hasDied).toBe(true);
    }
  }
});
