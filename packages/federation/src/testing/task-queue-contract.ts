import assert from 'node:assert/strict';
import type { ClientTask, TaskQueue } from '../tasks/task-queue.ts';
import type { ContractCase } from './contract-case.ts';

const task = (clientId: string, round = 1): ClientTask => ({
  clientId,
  task: {
    taskId: `run/${round}/${clientId}`, runId: 'run', round, kind: 'fit', attempt: 1,
    parameters: { hash: '0'.repeat(64), byteLength: 8 }, instructions: {},
  },
});
const soon = (): AbortSignal => AbortSignal.timeout(20);
const long = (): AbortSignal => AbortSignal.timeout(5000);

/** What holds for every {@link TaskQueue}; each case gets an empty one. */
export const taskQueueContract: readonly ContractCase<TaskQueue>[] = [
  {
    name: 'gives each client its own task, the same again until it is withdrawn, and nothing to others',
    run: async (open: () => TaskQueue | Promise<TaskQueue>): Promise<void> => {
      const queue = await open();
      await queue.publish([task('a'), task('b')], 0);
      assert.deepEqual(await queue.take('a', long()), task('a'));
      assert.deepEqual(await queue.take('a', long()), task('a'));
      assert.equal(await queue.take('c', soon()), null);
      await queue.withdraw('a');
      assert.equal(await queue.take('a', soon()), null);
      assert.equal(await queue.current('a'), null);
      assert.deepEqual(await queue.current('b'), task('b'));
    },
  },
  {
    name: 'wakes those who wait when their tasks come',
    run: async (open: () => TaskQueue | Promise<TaskQueue>): Promise<void> => {
      const queue = await open();
      const waiting = [queue.take('a', long()), queue.take('b', long())];
      await queue.publish([task('a')], 0);
      assert.deepEqual(await waiting[0], task('a'));
      await queue.add(task('b'));
      assert.deepEqual(await waiting[1], task('b'));
    },
  },
  {
    name: 'gives out no more tasks at a time than allowed, and the next as soon as one is settled or its client fell silent',
    run: async (open: () => TaskQueue | Promise<TaskQueue>): Promise<void> => {
      const queue = await open();
      await queue.publish([task('a'), task('b'), task('c')], 1);
      assert.deepEqual(await queue.take('b', long()), task('b'));
      assert.equal(await queue.take('a', soon()), null);
      const waiting = queue.take('a', long());
      await queue.withdraw('b');
      assert.deepEqual(await waiting, task('a'));
      const next = queue.take('c', long());
      await queue.release('a');
      assert.deepEqual(await next, task('c'));
      assert.equal(await queue.take('a', soon()), null);
    },
  },
  {
    name: 'forgets the tasks of the round before',
    run: async (open: () => TaskQueue | Promise<TaskQueue>): Promise<void> => {
      const queue = await open();
      await queue.publish([task('a'), task('b')], 1);
      await queue.take('a', long());
      await queue.publish([task('b', 2)], 1);
      assert.equal(await queue.take('a', soon()), null);
      assert.deepEqual(await queue.take('b', long()), task('b', 2));
      await queue.clear();
      assert.equal(await queue.current('b'), null);
    },
  },
  {
    name: 'leaves the next task alone when the one before it is settled late',
    run: async (open: () => TaskQueue | Promise<TaskQueue>): Promise<void> => {
      const queue = await open();
      await queue.publish([task('a')], 1);
      await queue.take('a', long());
      await queue.publish([task('a', 2)], 1);
      await queue.withdraw('a', task('a').task.taskId);
      assert.deepEqual(await queue.take('a', long()), task('a', 2));
      await queue.withdraw('a', task('a', 2).task.taskId);
      assert.equal(await queue.take('a', soon()), null);
    },
  },
  {
    name: 'goes on with a task that is published again: it keeps its place among those that are out',
    run: async (open: () => TaskQueue | Promise<TaskQueue>): Promise<void> => {
      const queue = await open();
      await queue.publish([task('a'), task('b')], 1);
      await queue.take('a', long());
      await queue.publish([task('a'), task('b', 2)], 1);
      assert.equal(await queue.take('b', soon()), null);
      assert.deepEqual(await queue.take('a', long()), task('a'));
      await queue.withdraw('a');
      assert.deepEqual(await queue.take('b', long()), task('b', 2));
    },
  },
];
