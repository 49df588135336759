import type { JsonObject } from '@zk0/core';

/** Numbers that a client reported with its update; what it did not report is absent. */
export interface ClientMetrics {
  /** Loss of the last step, with the proximal term. */
  readonly loss?: number;
  readonly policyLoss?: number;
  readonly gradientNorm?: number;
  /** How far its parameters moved from the round's. */
  readonly updateNorm?: number;
  readonly steps?: number;
  readonly downloadSeconds?: number;
  readonly trainSeconds?: number;
  readonly uploadSeconds?: number;
  readonly bytesUp?: number;
  readonly bytesDown?: number;
}

/** One client's part in a round. Times are milliseconds since 1970, by the server's clock. */
export interface ParticipantView {
  readonly clientId: string;
  /** `excluded`: its update was accepted, and the strategy left it out. */
  readonly state: 'assigned' | 'accepted' | 'refused' | 'left' | 'unneeded' | 'excluded';
  readonly learningRate?: number;
  readonly proximalMu?: number;
  /** When the server heard its result, or that it left. */
  readonly settledAt?: number;
  readonly examples?: number;
  readonly metrics?: ClientMetrics;
  /** Of the angle between its update and the mean of all: 1 where they point the same way, below 0 where it works against the others. */
  readonly cosine?: number;
  /** Why its update does not count. */
  readonly reason?: string;
  /** When each kind of work was reported for the first time: what is seen of a client that has not answered yet. */
  readonly phases: readonly { readonly phase: string; readonly at: number }[];
}

/** Held-out evaluation. */
export interface EvaluationView {
  readonly loss: number;
  readonly samples: number;
  readonly datasets: readonly { readonly name: string; readonly loss: number; readonly samples: number }[];
}

export type RoundPhase = 'training' | 'aggregating' | 'evaluating' | 'checkpointing' | 'done' | 'skipped';

/** A filmed trial. */
export interface ClipView {
  readonly file: string;
  /** `success`, or how it failed. */
  readonly outcome: string;
  /** Where the thing lay; `null` where the task has one place. */
  readonly place: string | null;
}

/** How often a checkpoint did its tasks when it was tried last. */
export interface SuccessView {
  /** Name of the checkpoint's folder. */
  readonly checkpoint: string;
  readonly tasks: readonly string[];
  readonly trials: number;
  readonly successes: number;
  /** Successes by trials, and its 95 % interval. */
  readonly rate: number;
  readonly low: number;
  readonly high: number;
  readonly clips: readonly ClipView[];
}

/** One round. Round 0 is the evaluation of the initial parameters. */
export interface RoundView {
  readonly round: number;
  readonly phase: RoundPhase;
  readonly startedAt: number;
  readonly closedAt?: number;
  readonly aggregatedAt?: number;
  readonly evaluatedAt?: number;
  readonly endedAt?: number;
  readonly closedBecause?: 'all-in' | 'enough' | 'deadline';
  readonly skippedBecause?: string;
  /** Clients asked, updates that count, updates that do not. */
  readonly asked: number;
  readonly accepted: number;
  readonly refused: number;
  /** Accepted updates that close the round; absent: everybody is waited for. */
  readonly wanted?: number;
  /** Of most clients; some may have been given another one. */
  readonly learningRate?: number;
  readonly proximalMu?: number;
  readonly batchSize?: number;
  /** Why learning rates or μ differ from before. */
  readonly reasons: readonly string[];
  /** Mean of the losses of clients whose updates were accepted. */
  readonly clientLoss?: number;
  /** How far the global parameters moved. */
  readonly updateNorm?: number;
  /** Privacy that the run has spent after this round, and the δ at which that holds. */
  readonly epsilon?: number;
  readonly delta?: number;
  /** Of a private round: the noise's deviation in clipping norms, and the length to which updates were scaled. */
  readonly noiseMultiplier?: number;
  readonly clippingNorm?: number;
  readonly parameters?: string;
  readonly evaluation?: EvaluationView | null;
  readonly checkpoint?: string | null;
  /** By client id; `null` for rounds long past, whose details are asked for when somebody wants them. */
  readonly participants: ReadonlyMap<string, ParticipantView> | null;
}

/** What a client did in a run so far. */
export interface TallyView {
  readonly clientId: string;
  readonly rounds: number;
  readonly refused: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly samplesPerSecond?: number;
  /** Round and loss in turn: [1, 0.9, 2, 0.7]. Of long runs every second, fourth … round is kept. */
  readonly losses: readonly number[];
}

export type RunPhase = 'waiting_for_clients' | 'running' | 'finished' | 'failed' | 'stopped' | 'unreadable';

/** One run in full. */
export interface RunView {
  readonly runId: string;
  /** Entries of its history that are in this view. */
  readonly position: number;
  readonly phase: RunPhase;
  readonly config: JsonObject;
  readonly createdAt: number;
  readonly startedAt?: number;
  readonly endedAt?: number;
  readonly stopRequested?: string;
  /** Why no round begins: an operator paused it. */
  readonly paused?: string;
  /** Clients that an operator excluded, with why. */
  readonly barred: ReadonlyMap<string, string>;
  /** Why it ended. */
  readonly ending?: string;
  /** Hash of the newest global parameters. */
  readonly parameters?: string;
  readonly datasets: readonly { readonly role: string; readonly clientId?: string; readonly name: string }[];
  /** In order, from round 0. */
  readonly rounds: readonly RoundView[];
  readonly tallies: ReadonlyMap<string, TallyView>;
  /** What the server itself is at: evaluating, so many batches of so many. */
  readonly serverWork?: { readonly phase: string; readonly step: number; readonly totalSteps: number };
}

/** A run in a few values. */
export interface RunBrief {
  readonly runId: string;
  readonly phase: RunPhase;
  readonly round: number;
  readonly rounds: number;
  readonly policyLoss: number | null;
  readonly ending: string | null;
  /** Why an operator paused it. */
  readonly paused: string | null;
}

/** Memory that a client uses, in bytes. */
export interface ClientMemory {
  readonly memoryBytes: number;
  readonly totalMemoryBytes: number;
  readonly gpu?: { readonly name: string; readonly memoryBytes: number; readonly totalMemoryBytes: number } | undefined;
}

/** A client as the server knows it. */
export interface ClientView {
  readonly clientId: string;
  readonly name: string;
  readonly agent: string;
  readonly dataset: string;
  readonly examples: number;
  readonly state: 'idle' | 'working' | 'left' | 'offline';
  readonly lastSeen: number;
  /** Why it gets no work. */
  readonly misfit?: string;
  /** Absent where it does not say. */
  readonly memory?: ClientMemory;
  readonly round?: number;
  readonly phase?: string;
  readonly step?: number;
  readonly totalSteps?: number;
  readonly loss?: number;
  /** Steps a second, or bytes a second while it transfers. */
  readonly rate?: number;
  /** When its last report came: what the rate is counted from. */
  readonly reportedAt?: number;
}

/** A node that has enrolled. */
export interface NodeView {
  readonly clientId: string;
  readonly state: 'pending' | 'approved' | 'revoked';
  readonly fingerprint: string;
  readonly dataset: string;
  readonly enrolledAt: number;
  readonly lastSeenAt: number | null;
}

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error';

/** A line of the log. */
export interface LogLine {
  /** Counts up; names the line. */
  readonly id: number;
  readonly at: number;
  readonly level: LogLevel;
  readonly process: string;
  readonly message: string;
}

/** Everything that the page shows, apart from what it asks for one by one. */
export interface PageView {
  readonly server: { readonly version: string; readonly startedAt: number; readonly at: number; readonly memoryBytes: number };
  readonly clients: ReadonlyMap<string, ClientView>;
  /** `null` where nodes need not enrol. */
  readonly nodes: readonly NodeView[] | null;
  readonly runs: ReadonlyMap<string, RunBrief>;
  /** The run that is being driven. */
  readonly current: string | null;
  /** What it waits for. */
  readonly waiting: string | null;
  /** The run that is being driven, else the newest one; `null` before the first. */
  readonly run: RunView | null;
  /** The newest lines. */
  readonly log: readonly LogLine[];
}

/** What is known before anything is. */
export function emptyView(version: string, at: number): PageView {
  return {
    server: { version, startedAt: at, at, memoryBytes: 0 },
    clients: new Map(),
    nodes: null,
    runs: new Map(),
    current: null,
    waiting: null,
    run: null,
    log: [],
  };
}
