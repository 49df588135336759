import { join } from 'node:path';
import { programName } from '@zk0/cli';
import { errorMessage } from '@zk0/core';
import type { Observer } from '@zk0/federation';
import type { HubOptions } from '@zk0/hub';
import { pushCheckpoint } from './push-checkpoint.ts';

/** Where it says what became of a push. */
interface PushLog {
  info(message: string): void;
  error(message: string): void;
}

/** What a push goes to, and waits for. */
export interface PushWhenFinishedOptions {
  readonly hub?: HubOptions;
  /** Resolves when the checkpoint says all that it will say: how often it does its tasks. */
  readonly after?: () => Promise<void>;
}

/**
 * Pushes the newest checkpoint of a run that has finished, where its settings name a repository. What the hub refuses, or what cannot be
 * reached after several attempts, is logged with the command that does it by hand; the run has finished all the same.
 */
export function pushWhenFinished(log: PushLog, { hub, after }: PushWhenFinishedOptions = {}): Observer {
  return {
    name: 'push to the hub',
    handle: async ({ event }, { state }) => {
      const { pushTo: repository } = state.config;
      if (event.type !== 'run-finished' || repository === undefined) return;
      const checkpoint = event.checkpoint ?? state.rounds.findLast(({ checkpoint: path }) => path != null)?.checkpoint;
      if (checkpoint == null) {
        log.error(`nothing is pushed to ${repository}: the run has no checkpoint`);
        return;
      }
      try {
        await after?.();
        const { url, commit, tag } = await pushCheckpoint(join(checkpoint), { repository, ...(hub !== undefined && { hub }) });
        log.info(`pushed to ${url} (commit ${commit.slice(0, 12)}${tag === null ? '' : `, tag ${tag}`})`);
      } catch (error) {
        log.error(`the checkpoint was not pushed: ${errorMessage(error)}; push it with: ${programName('zk0-server')} push ${checkpoint} --repo ${repository}`);
      }
    },
  };
}
