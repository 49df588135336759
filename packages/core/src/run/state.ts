import type { RunConfig } from '../config/run-config.ts';
import type { Metrics } from '../contracts/learner.ts';
import type { SecureState } from './secure-state.ts';
import type { BlobReference, Evaluation, PublishedParameters } from './events.ts';

/** One client's part in a round. */
export type Participation =
  /** Told to train; nothing final has arrived. */
  | { readonly state: 'assigned' }
  /** Its update passed every check and will be aggregated. */
  | {
      readonly state: 'accepted';
      readonly update: BlobReference;
      /** The change of its control variate, where the strategy asks for it. */
      readonly control?: BlobReference;
      readonly numExamples: number;
      readonly metrics: Metrics;
      /** From when its task was given out until it was accepted, where the run plans by it. */
      readonly seconds?: number;
    }
  /** Its update failed a check, or it reported a failure. */
  | { readonly state: 'refused'; readonly code: string; readonly message: string }
  /** Said goodbye before it answered; it may come back while the round is open. */
  | { readonly state: 'left' }
  /** The round had the updates that it wanted before this client answered: nothing failed, and it does not count as its turn. */
  | { readonly state: 'unneeded' };

/** Where a round stands; each value is entered once, in this order, and `done`/`skipped` are final. */
export type RoundPhase =
  /** Clients are training; updates are accepted. */
  | 'training'
  /** Closed: no update counts any more; the strategy folds the accepted ones. */
  | 'aggregating'
  /** New global parameters exist; the held-out datasets are evaluated. */
  | 'evaluating'
  /** Checkpoint, metrics and charts are written. */
  | 'checkpointing'
  | 'done'
  /** Too few updates: the global parameters did not change. */
  | 'skipped';

/** A task of an earlier round that a client goes on with: buffered rounds do not wait for it. */
export interface EarlierTask {
  readonly round: number;
  /** What it began with. */
  readonly parameters: BlobReference;
}

/** A client's part in a round, with what it was told. */
export interface Participant {
  readonly instructions: Readonly<Record<string, unknown>>;
  readonly outcome: Participation;
  /** Absent: its task is of this round. */
  readonly task?: EarlierTask;
}

/** One round's record. */
export interface RoundState {
  readonly round: number;
  readonly phase: RoundPhase;
  /** In buffered rounds, once they are closed, only those who answered. */
  readonly participants: ReadonlyMap<string, Participant>;
  /** The round closes with so many updates as it wants, and whoever trains meanwhile goes on. */
  readonly buffered?: true;
  /** Accepted updates that close the round; absent: everybody is waited for. */
  readonly wanted?: number;
  readonly closedBecause?: 'all-in' | 'enough' | 'deadline';
  /** Where secure aggregation stands, from the round's beginning until it is aggregated or skipped. */
  readonly secure?: SecureState;
  /** What aggregation produced; absent before it, and for a skipped round. */
  readonly aggregate?: {
    readonly parameters: BlobReference;
    readonly metrics: Metrics;
    readonly excluded: readonly { readonly clientId: string; readonly code: string; readonly reason: string }[];
    /** By client: how far its update pointed where the mean of all did, from -1 to 1. */
    readonly cosines?: Readonly<Record<string, number>>;
  };
  /** `null`: this round was not to be evaluated. Absent: not yet. */
  readonly evaluation?: Evaluation | null;
  readonly checkpoint?: string | null;
  readonly skippedBecause?: string;
}

/** Where a run stands. */
export type RunPhase =
  /** Created; waits for its turn and for enough clients. */
  | 'waiting_for_clients'
  /** Rounds are being run. */
  | 'running'
  /** All rounds are done. Final. */
  | 'finished'
  /** An error ended it. Final. */
  | 'failed'
  /** Somebody stopped it; finished rounds stand. Final. */
  | 'stopped';

/** A run, as the fold of its journal. */
export interface RunState {
  readonly runId: string;
  readonly config: RunConfig;
  readonly phase: RunPhase;
  /** Fixed when the run starts: normaliser, features, policy hash… The application's own. */
  readonly context: Readonly<Record<string, unknown>> | null;
  /** Clients that could take part when the run started. */
  readonly clients: readonly string[];
  /** The parameters that the run began with. */
  readonly initialParameters: BlobReference | null;
  /** The newest global parameters; those of round r+1 depend on round r's accepted updates alone. */
  readonly parameters: BlobReference | null;
  /** What clients begin the next round with, where that is an encoded difference away from what they had; absent: `parameters`. */
  readonly published?: PublishedParameters;
  readonly strategyState: BlobReference | null;
  readonly strategyScalars: Readonly<Record<string, unknown>>;
  /** Evaluation of the initial parameters (`undefined`: not yet). */
  readonly baseline?: Evaluation | null;
  /** Rounds 1, 2, … in order; only the last may be unfinished. */
  readonly rounds: readonly RoundState[];
  /** Buffered rounds: who trains on while no round is open. */
  readonly underWay?: ReadonlyMap<string, Pick<Participant, 'instructions'> & { readonly task: EarlierTask }>;
  /** Why somebody wants the run to end; it ends as soon as its newest finished round has a checkpoint. */
  readonly stopRequested?: string;
  /** Why an operator paused the run: no round begins until it is resumed. */
  readonly paused?: string;
  /** Clients that an operator gives no work in this run, with why. */
  readonly barred: ReadonlyMap<string, string>;
  readonly ending?: { readonly code: string; readonly message: string };
}

/** Whether a run can change no more. */
export function isFinal(state: Pick<RunState, 'phase'>): boolean {
  return state.phase === 'finished' || state.phase === 'failed' || state.phase === 'stopped';
}
