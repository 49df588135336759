import { describe, it } from 'vitest';
import { FakeClock, partQueueContract } from '../testing.ts';
import { MemoryPartTable } from './memory-part-table.ts';
import { PartQueue } from './part-queue.ts';

describe('the part queue in memory', () => {
  for (const { name, run } of partQueueContract) {
    it(name, () => run(() => {
      const clock = new FakeClock();
      const table = new MemoryPartTable(clock);
      return { leader: new PartQueue(table, clock), worker: new PartQueue(table, clock), pass: (ms) => { clock.advance(ms); } };
    }));
  }
});
