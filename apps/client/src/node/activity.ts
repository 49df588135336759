import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatBytes, formatDuration } from '@zk0/cli';
import type { ParticipantStatus } from '@zk0/federation';
import { writeFileAtomic } from '@zk0/storage';
import * as z from 'zod';

const FILE = 'activity.json';
/** The file is written at most this often: to replace a file may have to wait for the disk, and a short round has a dozen states. */
const WRITE_MS = 500;
/** And at least this often, so that a reader sees that the client is alive. */
const ALIVE_MS = 10_000;

const activitySchema = z.object({
  server: z.string(),
  dataset: z.string(),
  isConnected: z.boolean(),
  state: z.string(),
  round: z.number().optional(),
  done: z.number().optional(),
  total: z.number().optional(),
  loss: z.number().optional(),
  /** Why it waits or cannot go on, in words. */
  reason: z.string().optional(),
  /** Rounds whose update was sent since it started. */
  rounds: z.number(),
  /** Sent and received since it started, parameters and updates only. */
  bytes: z.object({ up: z.number(), down: z.number() }),
  /** When the present state began, and when this was written; ms since 1970. */
  since: z.number(),
  at: z.number(),
});
/** What a client does, as it leaves it in its state folder for `zk0-client status`. */
export type Activity = z.infer<typeof activitySchema>;

/** Keeps the file up to date while a client runs. */
export interface ActivityFile {
  connected(isConnected: boolean): void;
  status(status: ParticipantStatus): void;
  /** Writes no more; resolves when nothing is being written. */
  close(): Promise<void>;
}

/** Starts writing what a client does to its state folder. */
export function openActivityFile(directory: string, server: string, dataset: string): ActivityFile {
  const now = Date.now();
  let activity: Activity = { server, dataset, isConnected: false, state: 'connecting', rounds: 0, bytes: { up: 0, down: 0 }, since: now, at: now };
  const file = join(directory, FILE);
  let written = 0;
  let due: NodeJS.Timeout | undefined;
  let writing = Promise.resolve();
  const write = async (): Promise<void> => {
    activity = { ...activity, at: written };
    try {
      await writeFileAtomic(file, `${JSON.stringify(activity)}\n`, { durable: false });
    } catch {
      // A full disk: whoever asks sees that nothing was written for a while.
    }
  };
  /** Has the newest state written soon, beside the work: what changes until then is in it. */
  const writeSoon = (): void => {
    due ??= setTimeout(() => {
      due = undefined;
      written = Date.now();
      writing = writing.then(write);
    }, Math.max(0, written + WRITE_MS - Date.now()));
  };
  const timer = setInterval(writeSoon, ALIVE_MS);
  timer.unref();
  writeSoon();
  return {
    connected: (isConnected) => {
      activity = { ...activity, isConnected };
      writeSoon();
    },
    status: (status) => {
      const next = described(status);
      const changed = next.state !== activity.state || next.round !== activity.round;
      const { up, down } = activity.bytes;
      const ended = changed && status.state !== activity.state ? transferred(activity) : { up: 0, down: 0 };
      const { server: to, dataset: of, isConnected, rounds, since } = activity;
      activity = {
        ...{ server: to, dataset: of, isConnected, at: activity.at },
        ...next,
        rounds: rounds + (changed && activity.state === 'uploading' ? 1 : 0),
        bytes: { up: up + ended.up, down: down + ended.down },
        since: changed ? Date.now() : since,
      };
      writeSoon();
    },
    close: () => {
      clearInterval(timer);
      clearTimeout(due);
      return writing;
    },
  };
}

/** What a client with that state folder did last; `undefined` when it left nothing that can be read. */
export function readActivity(directory: string): Activity | undefined {
  try {
    return activitySchema.parse(JSON.parse(readFileSync(join(directory, FILE), 'utf8')));
  } catch {
    return undefined;
  }
}

/** What a client does, in words: `round 3, training: step 12 of 50, loss 0.4123, 1.3 steps/s, 29 s left`. */
export function describeActivity({ state, round, done, total, loss, reason, since, at }: Activity): string {
  const seconds = Math.max(0, at - since) / 1000;
  const isTransfer = state === 'downloading' || state === 'uploading';
  const parts: string[] = [];
  if (done !== undefined && total !== undefined && total > 0) {
    parts.push(isTransfer ? `${formatBytes(done)} of ${formatBytes(total)}` : `step ${done} of ${total}`);
    if (loss !== undefined) parts.push(`loss ${loss.toFixed(4)}`);
    if (done > 0 && seconds > 2) {
      const rate = done / seconds;
      parts.push(isTransfer ? `${formatBytes(rate)}/s` : `${rate.toPrecision(2)} steps/s`);
      if (done < total) parts.push(`${formatDuration((total - done) / rate)} left`);
    }
  }
  if (reason !== undefined) parts.push(reason);
  const what = round === undefined ? state : `round ${round}, ${state}`;
  return parts.length === 0 ? what : `${what}: ${parts.join(', ')}`;
}

function described(status: ParticipantStatus): Pick<Activity, 'state' | 'round' | 'done' | 'total' | 'loss' | 'reason'> {
  switch (status.state) {
    case 'connecting':
      return { state: 'connecting' };
    case 'idle':
      return { state: 'waiting for work', ...(status.notice !== undefined && { reason: status.notice }) };
    case 'blocked':
      return { state: 'blocked', round: status.round, reason: status.reason };
    case 'downloading':
    case 'uploading':
      return { state: status.state, round: status.round, done: status.bytes, total: status.totalBytes };
    case 'training':
      return {
        ...{ state: status.phase, round: status.round, done: status.step, total: status.totalSteps },
        ...(status.loss !== undefined && { loss: status.loss }),
      };
  }
}

/** Bytes of a transfer that has just ended. */
function transferred({ state, done = 0 }: Activity): { up: number; down: number } {
  return { up: state === 'uploading' ? done : 0, down: state === 'downloading' ? done : 0 };
}
