import { FederationError } from '../errors.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { FederationEvent } from './federation-event.ts';

/**
 * What has happened to a run, then what happens; nothing twice, nothing left out in between.
 *
 * @param live the run's events from now on; it is ended with this.
 * @throws FederationError `RUN_UNKNOWN`
 */
export async function* withHistory(ledger: Ledger, runId: string, live: AsyncGenerator<FederationEvent>): AsyncGenerator<FederationEvent> {
  let next = live.next();
  try {
    if ((await ledger.run(runId)) === null) throw new FederationError('RUN_UNKNOWN', `there is no run ${runId}`, { hint: 'See `zk0-server status`.' });
    const told = new Set<string>();
    for (const { at, event } of await ledger.entries(runId)) {
      const past: FederationEvent = { kind: 'run', runId, at: at.toISOString(), event };
      told.add(JSON.stringify(past));
      yield past;
    }
    for (;;) {
      const item = await next;
      if (item.done === true) return;
      next = live.next();
      if (!told.delete(JSON.stringify(item.value))) yield item.value;
    }
  } finally {
    next.catch(() => undefined);
    void live.return(undefined).catch(() => undefined);
  }
}
