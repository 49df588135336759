import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { applyRunEvent, IllegalTransitionError, replay, runConfigSchema, runEventSchema, type RunEvent, type RunState } from '@zk0/core';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { FakeClock, MemoryLedgerStore } from '../testing.ts';
import { Ledger, type LedgerEntry } from './ledger.ts';
import { openSqliteStores } from './sqlite-stores.ts';

const directory = mkdtempSync(join(tmpdir(), 'zk0-ledger-'));
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});
let files = 0;
const newFile = (): string => join(directory, `ledger-${files++}.sqlite`);

const created = (runId: string): RunEvent => ({ type: 'run-created', runId, config: runConfigSchema.parse({ rounds: 2, minClients: 1 }) });
const blob = { hash: 'a'.repeat(64), byteLength: 8 };
const started: Extract<RunEvent, { type: 'run-started' }> = { type: 'run-started', parameters: blob, context: { run: {} }, clients: ['a'] };
const baseline: RunEvent = { type: 'round-evaluated', round: 0, evaluation: null };

describe('the ledger', () => {
  it('writes only what can be read back: a value that JSON cannot hold is refused before it is there', async () => {
    const store = new MemoryLedgerStore();
    const ledger = await Ledger.open(store);
    await ledger.record('r', created('r'));
    await ledger.record('r', started);
    const evaluation = { policyLoss: Number.POSITIVE_INFINITY, totalSamples: 1, datasets: [] };
    await expect(ledger.record('r', { type: 'round-evaluated', round: 0, evaluation })).rejects.toMatchObject({ code: 'EVENT_INVALID' });
    await expect(ledger.record('r', { ...started, context: { run: { mean: Number.NaN } } })).rejects.toBeInstanceOf(Error);
    expect((await store.entries('r')).length).toBe(2);
    await ledger.record('r', { type: 'round-evaluated', round: 0, evaluation: { ...evaluation, policyLoss: -0 } });
    // The server that goes on has the state of one that is started anew: JSON has no negative zero.
    for (const reader of [ledger, await Ledger.open(store)]) expect((await reader.run('r'))!.state.baseline?.policyLoss).toBe(0);
  });

  it('records nothing that cannot happen, and nothing of a run that does not exist', async () => {
    const ledger = await Ledger.open(new MemoryLedgerStore());
    await expect(ledger.record('r', started)).rejects.toMatchObject({ code: 'RUN_UNKNOWN' });
    await ledger.record('r', created('r'));
    await expect(ledger.record('r', created('r'))).rejects.toBeInstanceOf(IllegalTransitionError);
    await expect(ledger.record('r', baseline)).rejects.toBeInstanceOf(IllegalTransitionError);
    expect(await ledger.entries('r')).toHaveLength(1);
    expect((await ledger.record('r', () => null)).recorded).toBe(false);
  });

  it('of two servers on one store, the one that is slower reads what the other wrote, and chooses anew', async () => {
    const store = new MemoryLedgerStore();
    const [first, second] = [await Ledger.open(store), await Ledger.open(store)];
    await first.record('r', created('r'));
    await second.record('r', started);
    const seen: (string | undefined)[] = [];
    await first.record('r', (state) => {
      seen.push(state?.phase);
      return state?.phase === 'running' ? baseline : null;
    });
    await first.record('r', { type: 'run-stop-requested', reason: 'enough' });
    await second.record('r', (state) => (state?.stopRequested === undefined ? { type: 'run-failed', code: 'X', message: 'never' } : { type: 'run-stopped', reason: 'enough' }));
    expect(seen).toEqual(['waiting_for_clients']);
    expect((await first.entries('r')).map(({ event }) => event.type)).toEqual(['run-created', 'run-started', 'run-stop-requested', 'run-stopped']);
  });

  it('lists every run from one row each, whatever the length of their histories', async () => {
    class CountingStore extends MemoryLedgerStore {
      reads = 0;
      override entries(...args: Parameters<MemoryLedgerStore['entries']>): ReturnType<MemoryLedgerStore['entries']> {
        this.reads++;
        return super.entries(...args);
      }
    }
    const store = new CountingStore();
    const ledger = await Ledger.open(store);
    for (const runId of ['a', 'b', 'c']) {
      await ledger.record(runId, created(runId));
      await ledger.record(runId, started);
      if (runId !== 'c') await ledger.record(runId, { type: 'run-stopped', reason: 'enough' });
    }
    store.reads = 0;
    expect((await ledger.summaries()).map(({ runId, phase }) => [runId, phase])).toEqual([['a', 'stopped'], ['b', 'stopped'], ['c', 'running']]);
    expect(await ledger.openRuns()).toEqual(['c']);
    expect(store.reads).toBe(0);
    // A start reads the open runs alone.
    await Ledger.open(store);
    expect(store.reads).toBe(1);
  });

  it('gives a long history a slice at a time, and lets others go on between', async () => {
    const ledger = await Ledger.open(new MemoryLedgerStore());
    for (const event of [created('r'), started, baseline, { type: 'round-configured', round: 1, assignments: [{ clientId: 'a', instructions: {} }] } satisfies RunEvent]) await ledger.record('r', event);
    for (let count = 0; count < 300; count++) {
      await ledger.record('r', { type: 'participant-left', round: 1, clientId: 'a' });
      await ledger.record('r', { type: 'participant-returned', round: 1, clientId: 'a' });
    }
    let others = 0;
    const timer = setInterval(() => others++, 0);
    const slices: (readonly LedgerEntry[])[] = [];
    for await (const slice of ledger.history('r')) slices.push(slice);
    clearInterval(timer);
    expect(slices.flat()).toEqual(await ledger.entries('r'));
    expect(slices.length).toBeGreaterThan(2);
    expect(others).toBeGreaterThan(0);
    expect((await ledger.history('nothing').next()).done).toBe(true);
  });

  it('keeps each run’s secret out of its events', async () => {
    const path = newFile();
    const stores = openSqliteStores(path);
    const ledger = await Ledger.open(stores.ledger);
    await ledger.record('r', created('r'));
    const secret = Buffer.from(await ledger.secret('r'));
    const text = JSON.stringify([await ledger.entries('r'), await ledger.summaries()]);
    expect(text).not.toContain(secret.toString('hex'));
    stores.close();
    const again = openSqliteStores(path);
    expect(Buffer.from(await again.ledger.secret('r'))).toEqual(secret);
    again.close();
  });

  it('gives back any history that can happen, and the state is its fold', async () => {
    const clients = ['a', 'b', 'c'];
    const choices = fc.array(fc.record({ kind: fc.nat(15), client: fc.constantFrom(...clients), value: fc.double({ noNaN: true, noDefaultInfinity: true }), text: fc.string() }), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(choices, async (steps) => {
        const path = newFile();
        let stores = openSqliteStores(path);
        let ledger = await Ledger.open(stores.ledger, new FakeClock());
        const history: RunEvent[] = [];
        let state: RunState | null = null;
        for (const [index, { kind, client, value, text }] of steps.entries()) {
          const event = eventOf(kind, state, client, value, text);
          const next = attempt(() => applyRunEvent(state, runEventSchema.parse(event)));
          const recorded = await ledger.record('r', event).then(() => true, () => false);
          expect(recorded).toBe(next !== undefined);
          if (next !== undefined) {
            state = next;
            history.push(event);
          }
          if (index % 20 === 19) {
            stores.close();
            stores = openSqliteStores(path);
            ledger = await Ledger.open(stores.ledger, new FakeClock());
          }
        }
        expect((await ledger.entries('r')).map(({ event }) => JSON.stringify(event))).toEqual(history.map((event) => JSON.stringify(event)));
        if (history.length > 0) {
          const read = (await ledger.run('r'))!.state;
          expect(read).toEqual(replay(history.map((event) => runEventSchema.parse(JSON.parse(JSON.stringify(event))))));
        }
        stores.close();
      }),
      { numRuns: 60 },
    );
  });
});

describe('a ledger on disk', () => {
  it('of a release before this package is taken over: a finished run is listed, an open one goes on, one that cannot be read is set aside', async () => {
    const path = newFile();
    copyFileSync(join(import.meta.dirname, '../../test/fixtures/journal-version-0.sqlite'), path);
    for (const time of ['first', 'second']) {
      const stores = openSqliteStores(path);
      const ledger = await Ledger.open(stores.ledger);
      const summaries = await ledger.summaries();
      expect(summaries.map(({ phase, round }) => [phase, round]), time).toEqual([['finished', 2], ['unreadable', 0], ['running', 1]]);
      expect(summaries[1]!.ending).toMatch(/entry \d+ of its history cannot be read/);
      expect(await ledger.openRuns()).toEqual(['unfinished']);
      const { state } = (await ledger.run('unfinished'))!;
      expect([...state.rounds[0]!.participants.values()].map(({ outcome }) => outcome.state)).toEqual(['accepted', 'accepted']);
      expect(Object.keys(state.rounds[0]!.participants.get('0')!.instructions)).toContain('context');
      await expect(ledger.run('overflown')).rejects.toMatchObject({ code: 'RUN_UNREADABLE' });
      expect((await ledger.run(summaries[0]!.runId))!.state.rounds).toHaveLength(2);
      stores.close();
    }
  });

  it('is refused while another process holds it, and when a newer release wrote it; no handle stays open', async () => {
    const path = newFile();
    const stores = openSqliteStores(path);
    expect(() => openSqliteStores(path)).toThrow(expect.objectContaining({ code: 'LEDGER_IN_USE' }) as Error);
    await stores.ledger.append('r', { position: 1, at: 1, event: '{}' }, '');
    stores.close();
    const database = new DatabaseSync(path);
    database.exec('PRAGMA user_version = 99');
    database.close();
    expect(() => openSqliteStores(path)).toThrow(expect.objectContaining({ code: 'LEDGER_VERSION', message: expect.stringContaining('has format 99, this release reads up to') as string }) as Error);
    const free = new DatabaseSync(path);
    free.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT');
    free.close();
  });

  it('notices flipped bits and missing entries of a run, and the other runs go on', async () => {
    for (const damage of ["UPDATE entries SET event = replace(event, 'aaaa', 'aaab') WHERE run_id = 'r' AND position = 2", "DELETE FROM entries WHERE run_id = 'r' AND position = 2", "DELETE FROM entries WHERE run_id = 'r' AND position = 3"]) {
      const path = newFile();
      const stores = openSqliteStores(path);
      const ledger = await Ledger.open(stores.ledger);
      for (const runId of ['r', 'other']) {
        for (const event of [created(runId), started, baseline]) await ledger.record(runId, event);
      }
      stores.close();
      const database = new DatabaseSync(path);
      database.exec(damage);
      database.close();
      const again = openSqliteStores(path);
      const reopened = await Ledger.open(again.ledger);
      expect((await reopened.summaries()).map(({ phase }) => phase)).toEqual(['unreadable', 'running']);
      expect(await reopened.openRuns()).toEqual(['other']);
      again.close();
    }
  });

  it('that is no database, or cut short, is one clear error', () => {
    const path = newFile();
    writeFileSync(path, 'this is no database, and long enough to be read as one');
    expect(() => openSqliteStores(path)).toThrow(expect.objectContaining({ code: 'LEDGER_UNUSABLE' }) as Error);
    const whole = newFile();
    openSqliteStores(whole).close();
    writeFileSync(path, readFileSync(whole).subarray(0, 5000));
    expect(() => openSqliteStores(path)).toThrow(expect.objectContaining({ code: 'LEDGER_UNUSABLE' }) as Error);
    expect(() => openSqliteStores(join(directory, 'nowhere', 'ledger.sqlite'))).toThrow(expect.objectContaining({ code: 'LEDGER_UNUSABLE' }) as Error);
  });
});

function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

/** An event that often can happen next, and sometimes cannot. */
function eventOf(kind: number, state: RunState | null, clientId: string, value: number, text: string): RunEvent {
  const round = state?.rounds.at(-1)?.round ?? 0;
  const events: RunEvent[] = [
    created('r'),
    { ...started, context: { run: { text, value } } },
    baseline,
    { type: 'round-configured', round: round + 1, assignments: ['a', 'b', 'c'].map((id) => ({ clientId: id, instructions: { text } })), wanted: 2 },
    { type: 'update-accepted', round, clientId, update: blob, numExamples: 1, metrics: { [`m_${text}`]: value } },
    { type: 'update-accepted', round, clientId, update: blob, control: blob, numExamples: 3, metrics: {} },
    { type: 'update-refused', round, clientId, code: 'X', message: text },
    { type: 'participant-left', round, clientId },
    { type: 'participant-returned', round, clientId },
    { type: 'round-closed', round, reason: 'enough' },
    { type: 'round-closed', round, reason: 'deadline' },
    { type: 'round-aggregated', round, parameters: blob, strategyState: null, strategyScalars: { value, text }, metrics: { value }, excluded: [] },
    { type: 'round-evaluated', round, evaluation: { policyLoss: value, totalSamples: 1, datasets: [] } },
    { type: 'round-checkpointed', round, path: text },
    { type: 'round-skipped', round, reason: text },
    { type: 'run-stop-requested', reason: text },
  ];
  return events[kind]!;
}
