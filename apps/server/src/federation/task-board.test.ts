import { describe, expect, it } from 'vitest';
import { TaskBoard } from './task-board.ts';

const task = (clientId: string): { clientId: string } => ({ clientId });
const never = new AbortController().signal;

/** What a promise has come to so far. */
async function settled<T>(promise: Promise<T>): Promise<T | 'waiting'> {
  return Promise.race([promise, new Promise<'waiting'>((resolve) => setImmediate(() => { resolve('waiting'); }))]);
}

describe('TaskBoard', () => {
  it('hands a waiting client its task the moment it is published', async () => {
    const board = new TaskBoard();
    const taken = board.take('a', never);
    expect(await settled(taken)).toBe('waiting');
    board.publish([task('a'), task('b')], 0);
    expect(await taken).toEqual(task('a'));
  });

  it('gives the same task again to a client whose answer was lost', async () => {
    const board = new TaskBoard();
    board.publish([task('a')], 1);
    expect(await board.take('a', never)).toEqual(task('a'));
    expect(await board.take('a', never)).toEqual(task('a'));
  });

  it('lets no more clients work at once than it may, and the next one in when one is done', async () => {
    const board = new TaskBoard();
    board.publish([task('a'), task('b')], 1);
    await board.take('a', never);
    const second = board.take('b', never);
    expect(await settled(second)).toBe('waiting');
    board.withdraw('a');
    expect(await second).toEqual(task('b'));
  });

  it('frees the place of a client that fell silent, and keeps its task for it', async () => {
    const board = new TaskBoard();
    board.publish([task('a'), task('b')], 1);
    await board.take('a', never);
    const second = board.take('b', never);
    board.release('a');
    expect(await second).toEqual(task('b'));
    board.withdraw('b');
    expect(await board.take('a', never)).toEqual(task('a'));
  });

  it('answers with nothing when the wait is given up, and when there is nothing any more', async () => {
    const board = new TaskBoard();
    const controller = new AbortController();
    const taken = board.take('a', controller.signal);
    controller.abort();
    expect(await taken).toBeNull();
    board.publish([task('a')], 0);
    board.clear();
    expect(board.current('a')).toBeUndefined();
  });
});
