import type { Task } from '@zk0/core';

/** A task with its addressee. */
export interface ClientTask {
  readonly clientId: string;
  readonly task: Task;
}

/**
 * The open tasks of the round that is under way. A client takes its own by polling; at most `maxParallel` are out at once. Delivery is
 * at least once: a client that asks again while its task is out is given the same task again.
 *
 * The queue holds nothing that the ledger does not: after a restart the engine publishes the open tasks anew. One in memory serves a
 * single process ({@link MemoryTaskQueue}); pull consumers of a message broker can implement it for several.
 */
export interface TaskQueue {
  /** Replaces all tasks by those of a round; one that is among both goes on, and is out if it was. `maxParallel` 0 means no limit. */
  publish(tasks: readonly ClientTask[], maxParallel: number): Promise<void>;
  /** Adds one task to those of the round: its client is back. */
  add(task: ClientTask): Promise<void>;
  /** Resolves with the client's task, or with `null` when the signal aborts first. */
  take(clientId: string, signal: AbortSignal): Promise<ClientTask | null>;
  /** The client's open task, taken or not. */
  current(clientId: string): Promise<ClientTask | null>;
  /** The client's task is settled, or no longer wanted; where `taskId` is given, only if it is that one, and not the next already. */
  withdraw(clientId: string, taskId?: string): Promise<void>;
  /** The client fell silent: its place among the parallel ones goes to another, and its task waits for it again. */
  release(clientId: string): Promise<void>;
  /** Withdraws everything. */
  clear(): Promise<void>;
}
