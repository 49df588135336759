import { describe, expect, it } from 'vitest';
import type { PageEvent } from '../model/events.ts';
import { emptyView } from '../model/view.ts';
import { decodeEvents } from '../model/wire.ts';
import { Batches } from './batches.ts';

const report = (clientId: string, step: number, phase = 'training'): PageEvent => ({ type: 'progress', at: step, runId: 'r', clientId, round: 1, phase, step, totalSteps: 9 });
const line = (id: number, message = 'x'): PageEvent => ({ type: 'log', lines: [{ id, at: 0, level: 'info', process: 'server', message }] });

function batches(maxKept?: number): Batches {
  return new Batches(emptyView('1', 0), maxKept);
}

describe('batches', () => {
  it('keep the newest report of each client and kind of work', () => {
    const some = batches();
    for (const event of [report('a', 1), report('b', 1), report('a', 2), report('a', 1, 'uploading'), report('a', 3)]) some.add(event);
    some.flush();
    expect(decodeEvents(some.after(0)!.data)).toEqual([report('a', 3), report('b', 1), report('a', 1, 'uploading')]);
  });

  it('keep the order of reports and of everything else', () => {
    const some = batches();
    for (const event of [report('a', 1), line(1), report('a', 2)]) some.add(event);
    some.flush();
    expect(decodeEvents(some.after(0)!.data)).toEqual([report('a', 1), line(1), report('a', 2)]);
  });

  it('give what follows a place, and a snapshot where that is not known', () => {
    const some = batches();
    some.add(line(1));
    some.flush();
    some.add(line(2));
    some.flush();
    expect(some.after(2)).toBeNull();
    expect(some.after(1)).toMatchObject({ kind: 'changes', place: 2 });
    expect(some.after(0)).toMatchObject({ kind: 'changes', place: 1 });
    for (const place of [undefined, 3, 99]) expect(some.after(place)).toMatchObject({ kind: 'snapshot', place: 2 });
  });

  it('forget what is too much, oldest first', () => {
    const some = batches(1000);
    for (let id = 1; id <= 30; id++) {
      some.add(line(id, 'y'.repeat(100)));
      some.flush();
    }
    expect(some.after(1)).toMatchObject({ kind: 'snapshot', place: 30 });
    expect(some.after(29)).toMatchObject({ kind: 'changes', place: 30 });
  });

  it('are none while nothing happens', () => {
    const some = batches();
    some.flush();
    expect([some.place, some.isPending]).toEqual([0, false]);
  });
});
