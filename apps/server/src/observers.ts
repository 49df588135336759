import type { Observer } from '@zk0/federation';

/** Two observers as one: the second gets an event when the first is done with it. */
export function inOrder(first: Observer, second: Observer): Observer {
  return {
    name: `${first.name}, ${second.name}`,
    resume: async (run) => {
      await first.resume?.(run);
      await second.resume?.(run);
    },
    handle: async (entry, run) => {
      await first.handle(entry, run);
      await second.handle(entry, run);
    },
    close: async () => {
      await first.close?.();
      await second.close?.();
    },
  };
}
