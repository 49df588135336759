import { isDetached } from './background/detach.ts';

/**
 * A signal that is also aborted when the program that started this one is gone: who starts a program with an IPC channel holds it as a
 * lifeline, so that nothing outlives a simulation or a sweep that was killed. Without a channel it is `signal` itself.
 */
export function stopWithParent(signal: AbortSignal): AbortSignal {
  if (process.channel === undefined || isDetached()) return signal;
  const orphaned = new AbortController();
  process.once('disconnect', () => {
    orphaned.abort();
  });
  // The channel alone must not keep a finished program alive.
  process.channel.unref();
  return AbortSignal.any([signal, orphaned.signal]);
}
