import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { replay, runConfigSchema, type BlobReference, type RunEvent, type RunState } from '@zk0/core';
import { createSafetensors, openBlobStore, openSafetensors, type BlobStore } from '@zk0/storage';
import { createStrategy, type Strategy } from '@zk0/strategy';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RegisteredClient } from '../clients/registered-client.ts';
import type { RunModel } from '../model.ts';
import { broadcastState } from './broadcast-state.ts';
import { assignmentSchema } from './instructions.ts';
import { planRound } from './round-plan.ts';

let root: string;
let blobs: BlobStore;
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'zk0-broadcast-'));
  blobs = await openBlobStore(join(root, 'blobs'));
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

const blob = (digit: number): BlobReference => ({ hash: String(digit).repeat(64), byteLength: 8 });
const updateOf = (round: number): BlobReference => ({ hash: `${round}f`.repeat(32), byteLength: 8 });
const clients = ['a', 'b'].map((clientId) => ({ clientId, numExamples: 10 }) as RegisteredClient);

/** A run whose rounds ended as they say: the change that `a` sent, and what became of the round. */
function after(strategyState: BlobReference | null, ...rounds: readonly [control: number, end: 'counted' | 'excluded' | 'skipped'][]): RunState {
  const events = rounds.flatMap(([control, end], index): RunEvent[] => {
    const round = index + 1;
    const excluded = end === 'excluded' ? [{ clientId: 'a', code: 'X', reason: 'x' }] : [];
    return [
      { type: 'round-configured', round, assignments: clients.map(({ clientId }) => ({ clientId, instructions: {} })) },
      { type: 'update-accepted', round, clientId: 'a', update: updateOf(round), control: blob(control), numExamples: 1, metrics: {} },
      { type: 'round-closed', round, reason: 'deadline' },
      ...(end === 'skipped'
        ? [{ type: 'round-skipped' as const, round, reason: 'x' }]
        : [
            { type: 'round-aggregated' as const, round, parameters: blob(2), strategyState, strategyScalars: {}, metrics: {}, excluded },
            { type: 'round-evaluated' as const, round, evaluation: null },
            { type: 'round-checkpointed' as const, round, path: null },
          ]),
    ];
  });
  return replay([
    { type: 'run-created', runId: 'r', config: runConfigSchema.parse({ strategy: { name: 'scaffold' } }) },
    { type: 'run-started', parameters: blob(0), context: { run: {} } },
    { type: 'round-evaluated', round: 0, evaluation: null },
    ...events,
  ])!;
}

const model = { trainingDefaults: { learningRate: 1e-3, localSteps: 1, batchSize: 1 } } as RunModel;

/** What each client is told of control variates. */
function told(state: RunState, broadcast: BlobReference | null, strategy: Strategy = createStrategy({ name: 'scaffold' })): unknown[] {
  const { assignments } = planRound(state, state.rounds.length + 1, { clients, strategy, model, broadcast });
  return assignments.map(({ instructions }) => assignmentSchema.parse(instructions).control);
}

describe('a round’s control variates', () => {
  it('are named by the change that counted last', () => {
    const nothing = { server: null, last: null };
    expect(told(after(null), null)).toEqual([nothing, nothing]);
    const server = blob(9);
    expect(told(after(server, [3, 'counted']), server)).toEqual([{ server, last: blob(3).hash }, { server, last: null }]);
    expect(told(after(server, [3, 'counted'], [4, 'excluded'], [5, 'skipped']), server)[0]).toEqual({ server, last: blob(3).hash });
    expect(told(after(server, [3, 'counted'], [4, 'counted']), server)[0]).toEqual({ server, last: blob(4).hash });
    expect(told(after(null), null, createStrategy({ name: 'fedavg' }))).toEqual([undefined, undefined]);
  });

  it('have their like in the moments of a client’s optimiser, which are named by the update that counted last', () => {
    const last = (state: RunState): unknown[] => {
      const keeping = { ...state, config: { ...state.config, clientOptimizer: 'keep' as const } };
      const { assignments } = planRound(keeping, state.rounds.length + 1, { clients, strategy: createStrategy({ name: 'fedavg' }), model, broadcast: null });
      return assignments.map(({ instructions }) => assignmentSchema.parse(instructions).optimizer);
    };
    const none = { last: null };
    const ofRound = (round: number): unknown => ({ last: { round, update: updateOf(round).hash } });
    expect(last(after(null))).toEqual([none, none]);
    expect(last(after(null, [3, 'counted']))).toEqual([ofRound(1), none]);
    expect(last(after(null, [3, 'counted'], [4, 'excluded'], [5, 'skipped']))[0]).toEqual(ofRound(1));
    expect(last(after(null, [3, 'counted'], [4, 'skipped'], [5, 'counted']))[0]).toEqual(ofRound(3));
    expect(last(after(null, [3, 'excluded']))[0]).toEqual(none);
    const { assignments } = planRound(after(null, [3, 'counted']), 2, { clients, strategy: createStrategy({ name: 'fedavg' }), model, broadcast: null });
    expect(assignments[0]!.instructions).not.toHaveProperty('optimizer');
  });

  it('go to clients without the rest of the strategy’s state', async () => {
    const put = async (...names: string[]): Promise<BlobReference> => {
      const writer = await createSafetensors(join(root, 'state'), names.map((name) => ({ name, dtype: 'F32', shape: [1] })));
      for (const [index, name] of names.entries()) await writer.writeBytes(name, 0, new Uint8Array(Float32Array.of(index).buffer));
      await writer.commit();
      return blobs.putFile(join(root, 'state'));
    };
    const options = { blobs, scratchDirectory: join(root, 'scratch') };
    const scaffold = createStrategy({ name: 'scaffold' });
    expect(await broadcastState(scaffold, after(null), options)).toBeNull();
    const alone = await put('control/w');
    expect(await broadcastState(scaffold, after(alone, [3, 'counted']), options)).toEqual(alone);
    expect(await broadcastState(createStrategy({ name: 'fedavg' }), after(alone, [3, 'counted']), options)).toBeNull();
    const adam = createStrategy({ name: 'fedadam', inner: { name: 'scaffold' } });
    const both = await put('control/w', 'first_moment/w');
    const sent = await broadcastState(adam, after(both, [3, 'counted']), options);
    const file = await openSafetensors(blobs.path(sent!.hash));
    expect(file.specs.map(({ name }) => name)).toEqual(['control/w']);
    await file.close();
  });
});
