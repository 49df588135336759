import assert from 'node:assert/strict';
import type { LedgerStore, StoredEntry } from '../ledger/ledger-store.ts';
import type { ContractCase } from './contract-case.ts';

const entry = (position: number, event = `{"n":${position}}`): StoredEntry => ({ position, at: 1000 + position, event });

/** What holds for every {@link LedgerStore}; each case gets an empty one. */
export const ledgerStoreContract: readonly ContractCase<LedgerStore>[] = [
  {
    name: 'keeps the entries of a run in order, and gives them back as they were written',
    run: async (open: () => LedgerStore | Promise<LedgerStore>): Promise<void> => {
      const store = await open();
      assert.equal(await store.append('a', entry(1, '{"text":"ü \\u0000 ✓"}'), 'one'), true);
      assert.equal(await store.append('a', entry(2), 'two'), true);
      assert.deepEqual(await store.entries('a'), [entry(1, '{"text":"ü \\u0000 ✓"}'), entry(2)]);
      assert.deepEqual(await store.entries('a', 2), [entry(2)]);
      assert.deepEqual(await store.entries('b'), []);
    },
  },
  {
    name: 'appends only at the end: of two writers one wins, and the loser changes nothing',
    run: async (open: () => LedgerStore | Promise<LedgerStore>): Promise<void> => {
      const store = await open();
      await store.append('a', entry(1), 'one');
      assert.equal(await store.append('a', entry(1, '{"other":1}'), 'other'), false);
      assert.equal(await store.append('a', entry(3), 'gap'), false);
      assert.equal(await store.append('b', entry(2), 'gap'), false);
      const results = await Promise.all(Array.from({ length: 8 }, (_, n) => store.append('a', entry(2, `{"writer":${n}}`), `writer ${n}`)));
      assert.equal(results.filter((won) => won).length, 1);
      assert.equal((await store.entries('a')).length, 2);
      assert.equal((await store.run('a'))!.summary, `writer ${results.indexOf(true)}`);
      assert.deepEqual((await store.runs()).map(({ runId }) => runId), ['a']);
    },
  },
  {
    name: 'lists runs in the order in which they began, each with its length and newest summary',
    run: async (open: () => LedgerStore | Promise<LedgerStore>): Promise<void> => {
      const store = await open();
      await store.append('z', { ...entry(1), at: 5 }, 'z1');
      await store.append('m', { ...entry(1), at: 5 }, 'm1');
      await store.append('a', { ...entry(1), at: 4 }, 'a1');
      await store.append('z', { ...entry(2), at: 9 }, 'z2');
      assert.deepEqual(await store.runs(), [
        { runId: 'z', createdAt: 5, length: 2, summary: 'z2', error: null },
        { runId: 'm', createdAt: 5, length: 1, summary: 'm1', error: null },
        { runId: 'a', createdAt: 4, length: 1, summary: 'a1', error: null },
      ]);
      assert.equal(await store.run('none'), null);
    },
  },
  {
    name: 'sets a run aside with the reason, and replaces a summary alone',
    run: async (open: () => LedgerStore | Promise<LedgerStore>): Promise<void> => {
      const store = await open();
      await store.append('a', entry(1), 'one');
      await store.quarantine('a', 'entry 1 is damaged');
      await store.summarize('a', 'new');
      assert.deepEqual(await store.run('a'), { runId: 'a', createdAt: 1001, length: 1, summary: 'new', error: 'entry 1 is damaged' });
      assert.deepEqual(await store.entries('a'), [entry(1)]);
    },
  },
  {
    name: 'draws a secret for each run once',
    run: async (open: () => LedgerStore | Promise<LedgerStore>): Promise<void> => {
      const store = await open();
      const [first, again, other] = [await store.secret('a'), await store.secret('a'), await store.secret('b')];
      assert.equal(first.byteLength, 32);
      assert.deepEqual([...first], [...again]);
      assert.notDeepEqual([...first], [...other]);
    },
  },
];
