import type { ReportMessage } from '../federation/client-report.ts';
import type { OperatorChange } from '../federation/operator-change.ts';
import type { BlobReference } from '../run/events.ts';
import type {
  HeartbeatMessage,
  HeartbeatReply,
  JoinMessage,
  JoinReply,
  JsonObject,
  ResultReply,
  Task,
  TaskResult,
} from '../federation/messages.ts';

/** An authenticated client, as the transport established it; never a string from a message body. */
export interface ClientPrincipal {
  readonly role: 'client';
  readonly clientId: string;
  /**
   * Names the installation that speaks under this id (kept in its state folder, so a restarted process has the same): a second one
   * under an id that is at work is refused.
   */
  readonly instance: string;
}

/** An authenticated operator. */
export interface OperatorPrincipal {
  readonly role: 'operator';
  /** For the log: which credential it was. */
  readonly name: string;
}

export type Principal = ClientPrincipal | OperatorPrincipal;

/**
 * The server's side of a federation, as a transport calls it. `@zk0/federation` implements it; `@zk0/transport` serves it over HTTP.
 *
 * Any method may throw a `Zk0Error`: the peer gets its code, message and hint as a final answer. Any other error is logged and
 * answered as `INTERNAL`, which clients try again.
 */
export interface FederationService {
  /** @throws Zk0Error `CLIENT_ID_IN_USE` when another installation is at work under this id: the one at work stays. */
  join(client: ClientPrincipal, message: JoinMessage): Promise<JoinReply>;
  /**
   * Resolves when there is a task for this client, and with `null` as soon as `signal` aborts. A reply can be lost on its way: a client
   * that polls again while it should be at work gets the same task again.
   *
   * @throws Zk0Error `NOT_JOINED` for a client that the server does not know: that client joins again by itself.
   */
  poll(client: ClientPrincipal, signal: AbortSignal): Promise<Task | null>;
  /** @throws Zk0Error `NOT_JOINED` */
  heartbeat(client: ClientPrincipal, message: HeartbeatMessage): Promise<HeartbeatReply>;
  /** Idempotent: a result may arrive more than once. The blob that it names is in the store when it is accepted. */
  result(client: ClientPrincipal, result: TaskResult): Promise<ResultReply>;
  leave(client: ClientPrincipal): Promise<void>;
  /** Takes lines of the client's log and the memory it uses; what is too much is left out. @throws Zk0Error `NOT_JOINED` */
  report(client: ClientPrincipal, message: ReportMessage): Promise<void>;

  /** @throws Zk0Error `FORBIDDEN` unless the client has an open task that may produce such a blob. */
  authorizeUpload(client: ClientPrincipal, blob: BlobReference): Promise<void>;
  /** @throws Zk0Error `FORBIDDEN` unless the client's open task names the blob. */
  authorizeDownload(client: ClientPrincipal, hash: string): Promise<void>;

  /** Everything that an operator wants to see. */
  status(): Promise<JsonObject>;
  submitRun(operator: OperatorPrincipal, config: JsonObject): Promise<{ readonly runId: string }>;
  /** Stops the run named, or the one that is running; stopping a run that has ended changes nothing. */
  stopRun(operator: OperatorPrincipal, runId: string | undefined): Promise<{ readonly runId: string }>;
  /**
   * Pauses a run, lets it go on, excludes a client from it or lets it take part again. What is so already is left as it is.
   *
   * @throws Zk0Error `RUN_UNKNOWN`, `RUN_ENDED`, `CLIENT_UNKNOWN`
   */
  changeRun(operator: OperatorPrincipal, change: OperatorChange): Promise<{ readonly runId: string }>;
  /**
   * Events as they happen, of one run or all, until `signal` aborts or there can be no more.
   *
   * @param history begin with what has happened to the run named so far
   */
  events(runId: string | undefined, signal: AbortSignal, history?: boolean): AsyncIterable<JsonObject>;
}
