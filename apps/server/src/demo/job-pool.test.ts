import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { JobPool, type Job } from './job-pool.ts';

it('does what follows from a job after what was there before, with as many at a time as there are workers', async () => {
  const done: string[] = [];
  let [running, most] = [0, 0];
  const job = (name: string, next?: Job): Job => async () => {
    most = Math.max(most, ++running);
    await sleep(1);
    running--;
    done.push(name);
    return next;
  };
  const pool = new JobPool(['a', 'b', 'c'].map((name) => job(name, job(`after ${name}`))), () => undefined);
  pool.start(1);
  pool.addFirst(job('first'));
  pool.start(1);
  await pool.ended();
  expect(most).toBe(2);
  expect(done).toHaveLength(7);
  // One worker had begun with a job before the first one was added.
  expect(done.slice(0, 2).toSorted()).toEqual(['a', 'first']);
  expect(done.slice(4)).toEqual(['after a', 'after b', 'after c']);
});

it('begins nothing after the first failure, says so once, and throws it when those running have ended', async () => {
  const done: string[] = [];
  let failures = 0;
  const slow: Job = async () => {
    await sleep(20);
    done.push('slow');
    return undefined;
  };
  const fails = (message: string): Job => () => Promise.reject(new Error(message));
  const pool = new JobPool([slow, fails('first'), fails('second'), slow], () => failures++);
  pool.start(2);
  await expect(pool.ended()).rejects.toThrow('first');
  expect([done, failures]).toEqual([['slow'], 1]);
});
