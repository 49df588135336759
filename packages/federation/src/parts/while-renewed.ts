import { pause, type Clock } from '../clock.ts';
import type { TakenPart } from './part-queue.ts';

/**
 * Works on a part and renews it meanwhile. A store that does not answer is asked again: what is done twice does no harm.
 *
 * @param work is given a signal that aborts when the part is another's, or `signal` does.
 */
export async function whileRenewed<T>(taken: TakenPart, clock: Clock, intervalMs: number, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const [lost, ended] = [new AbortController(), new AbortController()];
  const renew = async (): Promise<void> => {
    while (await pause(clock, intervalMs, AbortSignal.any([signal, ended.signal]))) {
      if (!(await taken.renew().catch(() => true))) lost.abort();
    }
  };
  const renewing = renew();
  try {
    return await work(AbortSignal.any([signal, lost.signal]));
  } finally {
    ended.abort();
    await renewing;
  }
}
