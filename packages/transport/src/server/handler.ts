import type {
  JoinMessage,
  JoinReply,
  JsonObject,
  ProgressMessage,
  ProgressReply,
  ResultMessage,
  ResultReply,
  Task,
} from '../protocol/messages.ts';

/**
 * What the server's application does with messages. Any method may throw a `Zk0Error`: the peer gets its code, message
 * and hint as a final answer. Any other error is logged and answered as `INTERNAL`, which clients try again.
 */
export interface TransportHandler {
  join(message: JoinMessage): Promise<JoinReply>;
  /**
   * Resolves when there is a task for this client, and with `null` as soon as `signal` aborts. Throws a Zk0Error with
   * code `NOT_JOINED` for a client it does not know: that client joins again by itself.
   *
   * A reply can be lost on its way: a client that polls again while it should be at work gets the same task again.
   */
  poll(clientId: string, signal: AbortSignal): Promise<Task | null>;
  progress(message: ProgressMessage): Promise<ProgressReply>;
  /** Must be idempotent: a result may arrive more than once. The blob it names is in the store when it is accepted. */
  result(message: ResultMessage): Promise<ResultReply>;
  leave(clientId: string): Promise<void>;

  /** Everything an operator wants to see. */
  status(): Promise<JsonObject>;
  submitRun(config: JsonObject): Promise<{ readonly runId: string }>;
  /** Stops the run named, or the one that is running. */
  stopRun(runId: string | undefined): Promise<{ readonly runId: string }>;
  /** Events as they happen, of one run or all, until `signal` aborts or there can be no more. */
  events(runId: string | undefined, signal: AbortSignal): AsyncIterable<JsonObject>;
}
