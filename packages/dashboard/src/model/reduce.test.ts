import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { History, START } from '../testing/history.ts';
import type { ClientRecord, PageEvent } from './events.ts';
import { MAX_LOG_LINES, reducePage } from './reduce.ts';
import { emptyView, type ClientView } from './view.ts';
import { decodeEvents, decodeView, encode } from './wire.ts';

const empty = emptyView('1.0.0', START);
const client = (clientId: string, more: Partial<ClientRecord> = {}): ClientRecord => ({
  clientId, name: clientId, agent: 'test', dataset: 'set', examples: 10, state: 'idle', lastSeen: START, ...more,
});
const report = (at: number, step: number, more: Partial<Extract<PageEvent, { type: 'progress' }>> = {}): PageEvent => ({
  type: 'progress', at: START + at, runId: 'run-1', clientId: 'a', round: 1, phase: 'training', step, totalSteps: 50, loss: 0.5, ...more,
});
const joined = (...ids: string[]): PageEvent => ({ type: 'clients', changed: ids.map((id) => client(id)), gone: [] });

function clientAfter(...events: PageEvent[]): ClientView | undefined {
  return reducePage(empty, [joined('a'), ...events]).clients.get('a');
}

describe('the page’s view', () => {
  it('has a client’s progress and its speed from what it reports', () => {
    expect(clientAfter(report(1000, 10))).toMatchObject({ state: 'working', phase: 'training', step: 10, totalSteps: 50, loss: 0.5, lastSeen: START + 1000 });
    expect(clientAfter(report(1000, 10))).not.toHaveProperty('rate');
    expect(clientAfter(report(1000, 10), report(3000, 20))!.rate).toBe(5);
    expect(clientAfter(report(1000, 10), report(3000, 20), report(4000, 35))!.rate).toBeCloseTo(5 + 0.3 * 10);
    // Another kind of work counts something else.
    expect(clientAfter(report(1000, 10), report(3000, 20), report(4000, 5e6, { phase: 'uploading' }))).not.toHaveProperty('rate');
  });

  it('keeps the speed when a list says the same', () => {
    const same = clientAfter(report(1000, 10), report(3000, 20))!;
    expect(clientAfter(report(1000, 10), report(3000, 20), { type: 'clients', changed: [same], gone: [] })!.rate).toBe(5);
    expect(clientAfter(report(1000, 10), report(3000, 20), { type: 'clients', changed: [client('a', { state: 'offline' })], gone: [] })).toEqual(client('a', { state: 'offline' }));
  });

  it('has a client idle once its update has been heard, and without those who were forgotten', () => {
    const history = new History().created().started().configured(1).accepted(1, 'a', 1);
    expect(clientAfter(report(1000, 10), history.entries.at(-1)!)).toEqual({ ...client('a'), lastSeen: START + 1000 });
    expect(reducePage(empty, [joined('a', 'b'), { type: 'clients', changed: [], gone: ['a'] }]).clients.size).toBe(1);
  });

  it('takes no report of a client that it does not know', () => {
    expect(reducePage(empty, [report(1, 1), report(1, 1, { clientId: 'constructor' })]).clients.size).toBe(0);
  });

  it('changes what an event of runs names, and leaves the rest', () => {
    const brief = { runId: 'run-1', phase: 'running', round: 1, rounds: 3, policyLoss: null, ending: null, paused: null } as const;
    const waiting = reducePage(empty, [{ type: 'runs', changed: [brief], current: 'run-1', waiting: 'two are needed' }]);
    expect(reducePage(waiting, [{ type: 'runs', changed: [{ ...brief, round: 2 }] }])).toMatchObject({ current: 'run-1', waiting: 'two are needed' });
    expect(reducePage(waiting, [{ type: 'runs', changed: [], waiting: null }]).waiting).toBeNull();
  });

  it('keeps the newest lines of the log', () => {
    const line = (id: number): PageEvent => ({ type: 'log', lines: [{ id, at: START, level: 'info', process: 'server', message: `line ${id}` }] });
    const { log } = reducePage(empty, Array.from({ length: MAX_LOG_LINES + 5 }, (_, id) => line(id)));
    expect([log.length, log[0]!.id]).toEqual([MAX_LOG_LINES, 5]);
  });

  it('keeps lines of the server, and of every client, whatever a client sends', () => {
    const lines = (process: string, count: number, from: number): PageEvent => ({ type: 'log', lines: Array.from({ length: count }, (_, at) => ({ id: from + at, at: START, level: 'info', process, message: 'x' })) });
    const { log } = reducePage(empty, [lines('server', 10, 0), lines('client_quiet', 3, 10), lines('client_loud', 5000, 13)]);
    const of = (process: string): number => log.filter((line) => line.process === process).length;
    expect([of('server'), of('client_quiet'), of('client_loud')]).toEqual([10, 3, 200]);
    const many = reducePage(empty, [lines('server', 5, 0), ...Array.from({ length: 30 }, (_, client) => lines(`client_${client}`, 100, 5 + 100 * client))]).log;
    expect([many.length, many[0]!.process]).toEqual([MAX_LOG_LINES + 5, 'server']);
  });

  it('is the same for server and browser, wherever a snapshot is taken and whatever is sent in one batch', () => {
    const history = new History().created().started().round(1).configured(2).accepted(2, 'a', 0.4);
    const events: PageEvent[] = [
      joined('a', 'b'),
      { type: 'opened', run: new History().created().view },
      ...history.entries.flatMap((entry, index): PageEvent[] => [entry, report(index * 700, index, { round: 2 }), report(index * 700, index, { clientId: 'b', phase: 'downloading', round: 2 })]),
      { type: 'server-work', runId: 'run-1', phase: 'evaluating', step: 1, totalSteps: 8 },
      { type: 'server', at: START + 9, memoryBytes: 5 },
      { type: 'nodes', nodes: [] },
    ];
    const whole = reducePage(empty, events);
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 0, max: events.length }), { maxLength: 6 }), (cuts) => {
        const places = [0, ...cuts.sort((a, b) => a - b), events.length];
        const batches = places.slice(1).map((to, index) => events.slice(places[index], to));
        const view = batches.reduce((before, batch) => reducePage(decodeView(encode(before)), decodeEvents(encode(batch))), empty);
        expect(view).toEqual(whole);
      }),
      { seed: 11, numRuns: 60 },
    );
  });
});
