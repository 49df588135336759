import { errorMessage } from '@zk0/core';
import type { FederationLog } from './log.ts';

/** Calls every closer in turn, whatever the others do; what fails is logged. */
export async function closeAll(log: Pick<FederationLog, 'error'>, closers: readonly (() => unknown)[]): Promise<void> {
  for (const close of closers) {
    try {
      await close();
    } catch (error) {
      log.error(`closing: ${errorMessage(error)}`, { error });
    }
  }
}
