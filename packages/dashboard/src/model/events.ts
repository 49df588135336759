import type { JsonObject } from '@zk0/core';
import type { ClientMetrics, ClientView, EvaluationView, LogLine, NodeView, RunBrief, RunView } from './view.ts';

/** What happened to a run, without what the page does not show. */
export type RunChange =
  | { readonly type: 'created'; readonly runId: string; readonly config: JsonObject }
  | { readonly type: 'stop-requested' | 'paused' | 'resumed'; readonly reason: string }
  | { readonly type: 'client-excluded' | 'client-readmitted'; readonly clientId: string; readonly reason: string }
  | { readonly type: 'started'; readonly parameters: string; readonly datasets: RunView['datasets'] }
  | {
      readonly type: 'configured';
      readonly round: number;
      readonly assignments: readonly { readonly clientId: string; readonly learningRate?: number; readonly proximalMu?: number }[];
      readonly batchSize?: number;
      readonly wanted?: number;
      readonly reasons: readonly string[];
    }
  | { readonly type: 'accepted'; readonly round: number; readonly clientId: string; readonly examples: number; readonly metrics: ClientMetrics }
  | { readonly type: 'refused'; readonly round: number; readonly clientId: string; readonly reason: string }
  | { readonly type: 'left' | 'returned'; readonly round: number; readonly clientId: string }
  /** Secure aggregation goes on with these clients. */
  | { readonly type: 'stage'; readonly round: number; readonly stage: 'shares' | 'training' | 'unmask'; readonly members: readonly string[] }
  /** A client answered a step of it. */
  | { readonly type: 'step'; readonly round: number; readonly clientId: string }
  | { readonly type: 'closed'; readonly round: number; readonly reason: 'all-in' | 'enough' | 'deadline' }
  | {
      readonly type: 'aggregated';
      readonly round: number;
      readonly parameters: string;
      readonly updateNorm?: number;
      readonly epsilon?: number;
      readonly delta?: number;
      readonly noiseMultiplier?: number;
      readonly clippingNorm?: number;
      readonly excluded: readonly { readonly clientId: string; readonly reason: string }[];
      readonly cosines: Readonly<Record<string, number>>;
    }
  | { readonly type: 'evaluated'; readonly round: number; readonly evaluation: EvaluationView | null }
  | { readonly type: 'checkpointed'; readonly round: number; readonly path: string | null }
  | { readonly type: 'skipped'; readonly round: number; readonly reason: string }
  | { readonly type: 'ended'; readonly phase: 'finished' | 'failed' | 'stopped'; readonly message?: string; readonly checkpoint?: string };

/** A client as a list of clients has it; what its reports add is not in it. */
export type ClientRecord = Omit<ClientView, 'rate' | 'reportedAt'>;

/** One change of the page's view. Times are milliseconds since 1970. */
export type PageEvent =
  | { readonly type: 'server'; readonly at: number; readonly memoryBytes: number }
  /** Clients that are new or differ, and those that were forgotten. */
  | { readonly type: 'clients'; readonly changed: readonly ClientRecord[]; readonly gone: readonly string[] }
  | {
      readonly type: 'progress';
      readonly at: number;
      readonly runId: string;
      readonly clientId: string;
      readonly round: number;
      readonly phase: string;
      readonly step: number;
      readonly totalSteps: number;
      readonly loss?: number;
    }
  | { readonly type: 'server-work'; readonly runId: string; readonly phase: string; readonly step: number; readonly totalSteps: number }
  /** Runs that are new or differ; `current` and `waiting` only where they differ. */
  | { readonly type: 'runs'; readonly changed: readonly RunBrief[]; readonly current?: string | null; readonly waiting?: string | null }
  /** Another run is the one that the page is about. */
  | { readonly type: 'opened'; readonly run: RunView }
  /** The entry of a run's history at this position, from 1. */
  | { readonly type: 'run'; readonly runId: string; readonly position: number; readonly at: number; readonly change: RunChange }
  | { readonly type: 'nodes'; readonly nodes: readonly NodeView[] | null }
  | { readonly type: 'log'; readonly lines: readonly LogLine[] };
