import assert from 'node:assert/strict';
import type { PartQueue } from '../parts/part-queue.ts';
import type { ContractCase } from './contract-case.ts';

/** Part queues of several processes over one table, and a way to let the clock of all go on. */
export interface PartQueuesUnderTest {
  readonly leader: PartQueue;
  readonly worker: PartQueue;
  readonly pass: (ms: number) => void | Promise<void>;
}

const blob = (letter: string): { hash: string; byteLength: number } => ({ hash: letter.repeat(64), byteLength: 8 });
const part = (from: number, plan = 'a'): { plan: ReturnType<typeof blob>; from: number; to: number } => ({ plan: blob(plan), from, to: from + 1 });
const soon = (): AbortSignal => AbortSignal.timeout(100);
const long = (): AbortSignal => AbortSignal.timeout(10_000);

/** What holds for part queues over every table; each case gets an empty one. */
export const partQueueContract: readonly ContractCase<PartQueuesUnderTest>[] = [
  {
    name: 'gives each part to one taker, and its bytes to whoever offered it',
    run: async (open: () => PartQueuesUnderTest | Promise<PartQueuesUnderTest>): Promise<void> => {
      const { leader, worker } = await open();
      const waiting = worker.take('w', long());
      assert.equal(await leader.begun(blob('a'), soon()), null);
      await leader.offer([part(0), part(1)]);
      const [first, second] = [(await waiting)!, (await leader.take('l', long()))!];
      assert.equal(await leader.begun(blob('a'), long()), true);
      assert.deepEqual([first.part.from, second.part.from].sort(), [0, 1]);
      assert.equal(await worker.take('w', soon()), null);
      assert.equal(await leader.result(first.part, soon()), null);
      await first.done(blob('f'));
      assert.deepEqual(await leader.result(first.part, long()), blob('f'));
      await second.done(blob('e'));
      assert.deepEqual(await leader.result(second.part, long()), blob('e'));
      assert.equal(await worker.take('w', soon()), null);
    },
  },
  {
    name: 'gives a part to another when nothing has been heard of its taker, whose answer then counts for nothing',
    run: async (open: () => PartQueuesUnderTest | Promise<PartQueuesUnderTest>): Promise<void> => {
      const { leader, worker, pass } = await open();
      await leader.offer([part(0)]);
      const taken = (await worker.take('w', long()))!;
      await pass(4000);
      assert.equal(await taken.renew(), true);
      await pass(4000);
      assert.equal(await leader.take('l', soon()), null);
      // Others hear of a renewal a moment later.
      await pass(7000);
      const again = (await leader.take('l', long()))!;
      assert.deepEqual(again.part, part(0));
      await worker.begun(blob('a'), long());
      await again.renew();
      // The other has seen it by then, or its own change is refused.
      await taken.done(blob('f'));
      assert.equal(await leader.result(part(0), soon()), null);
      await again.done(blob('e'));
      assert.deepEqual(await worker.result(part(0), long()), blob('e'));
      assert.equal(await taken.renew(), false);
    },
  },
  {
    name: 'does not give a part again to one that cannot compute it',
    run: async (open: () => PartQueuesUnderTest | Promise<PartQueuesUnderTest>): Promise<void> => {
      const { leader, worker } = await open();
      await leader.offer([part(0)]);
      await (await worker.take('w', long()))!.fail();
      assert.equal(await worker.take('w', soon()), null);
      assert.deepEqual((await leader.take('l', long()))!.part, part(0));
    },
  },
  {
    name: 'has the parts that were offered last: of those before, what is among both stays as it is',
    run: async (open: () => PartQueuesUnderTest | Promise<PartQueuesUnderTest>): Promise<void> => {
      const { leader, worker } = await open();
      await leader.offer([part(0), part(1)]);
      const taken = (await leader.take('l', long()))!;
      await taken.done(blob('f'));
      await leader.offer([taken.part, part(7)]);
      assert.deepEqual(await leader.result(taken.part, long()), blob('f'));
      assert.equal(await leader.result(part(1 - taken.part.from), long()), 'gone');
      assert.deepEqual((await worker.take('w', long(), blob('a')))!.part, part(7));
      await leader.offer([part(3, 'b')]);
      assert.equal(await worker.take('w', soon(), blob('a')), null);
      assert.equal(await worker.result(part(7), long()), 'gone');
      await leader.withdraw(blob('b'));
      assert.equal(await leader.result(part(3, 'b'), long()), 'gone');
    },
  },
];
