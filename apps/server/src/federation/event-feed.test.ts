import { describe, expect, it } from 'vitest';
import { EventFeed } from './event-feed.ts';

describe('EventFeed', () => {
  it('gives every follower the events it asked for, in order, and ends with the feed', async () => {
    const feed = new EventFeed<{ runId: string; n: number }>();
    const follow = async (runId: string): Promise<unknown[]> => {
      const seen: unknown[] = [];
      for await (const event of feed.subscribe((item) => item.runId === runId, new AbortController().signal)) {
        seen.push(event.n);
      }
      return seen;
    };
    const [a, b] = [follow('a'), follow('b')];
    await Promise.resolve();
    for (const [runId, n] of [['a', 1], ['b', 2], ['a', 3]] as const) feed.publish({ runId, n });
    feed.close();
    expect(await a).toEqual([1, 3]);
    expect(await b).toEqual([2]);
  });

  it('ends when the follower leaves', async () => {
    const feed = new EventFeed<string>();
    const controller = new AbortController();
    const events = feed.subscribe(() => true, controller.signal);
    const next = events.next();
    controller.abort();
    expect(await next).toEqual({ done: true, value: undefined });
  });
});
