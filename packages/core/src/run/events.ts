import * as z from 'zod';
import { secureKeysSchema, secureSharesSchema, secureUnmaskSchema } from '../federation/secure-messages.ts';
import { runConfigSchema } from '../config/run-config.ts';

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const metrics = z.record(z.string(), z.number());
const round = z.int().min(0);
const blob = z.strictObject({ hash, byteLength: z.int().min(0) });
const json = z.record(z.string(), z.json());

/** Content-addressed bytes: the address is the SHA-256. */
export type BlobReference = z.infer<typeof blob>;
export const blobReferenceSchema = blob;

/** The parameters that clients of the next round begin with, where they are sent as an encoded difference. */
export const publishedParametersSchema = z.strictObject({
  /** Whole, for clients that do not hold `from`. */
  parameters: blob,
  /** What makes them of `from`. */
  encoded: blob,
  /** The parameters that were published before. */
  from: blob,
});
export type PublishedParameters = z.infer<typeof publishedParametersSchema>;

/** Held-out evaluation of one parameter set. */
export const evaluationSchema = z.strictObject({
  policyLoss: z.number(),
  totalSamples: z.int().min(0),
  /** Standard error of `policyLoss`. */
  standardError: z.number().min(0).exactOptional(),
  datasets: z.array(
    z.strictObject({
      name: z.string(),
      policyLoss: z.number(),
      samples: z.int().min(0),
      actionDim: z.int().min(1),
      /** Standard error of `policyLoss`, from the spread between its batches. This and the next two are absent in ledgers of earlier releases. */
      standardError: z.number().min(0).exactOptional(),
      /** Batches that gave a loss, and those that were asked for: they differ where frames could not be decoded. */
      successfulBatches: z.int().min(0).exactOptional(),
      totalBatches: z.int().min(0).exactOptional(),
    }),
  ),
});
export type Evaluation = z.infer<typeof evaluationSchema>;

/**
 * Everything that happens to a run, one journal entry each. The journal is the truth: state is its fold
 * ({@link applyRunEvent}), and recovery after a crash is replay.
 */
export const runEventSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('run-created'), runId: z.string().min(1), config: runConfigSchema }),
  /** Somebody asked for the run's end. What is being done is given up; finished rounds stand. */
  z.strictObject({ type: z.literal('run-stop-requested'), reason: z.string() }),
  /** An operator paused the run: the round that is open is finished, and no other begins. */
  z.strictObject({ type: z.literal('run-paused'), reason: z.string() }),
  z.strictObject({ type: z.literal('run-resumed'), reason: z.string() }),
  /** An operator gives a client no more work in this run. In an open round its update does not count, also when it has arrived. */
  z.strictObject({ type: z.literal('client-excluded'), clientId: z.string().min(1), reason: z.string() }),
  /** It may take part again, from the next round on. */
  z.strictObject({ type: z.literal('client-readmitted'), clientId: z.string().min(1), reason: z.string() }),
  /**
   * Enough clients are there: what holds for the whole run is fixed now. `context` is the application's own; its `run` is what every task
   * carries. `clients`: who could take part then (absent in ledgers of earlier releases).
   */
  z.strictObject({
    type: z.literal('run-started'),
    parameters: blob,
    context: json,
    clients: z.array(z.string().min(1)).exactOptional(),
  }),
  z.strictObject({
    type: z.literal('round-configured'),
    round,
    assignments: z.array(z.strictObject({ clientId: z.string().min(1), instructions: json })),
    /** Accepted updates that close the round; absent: everybody is waited for. */
    wanted: z.int().min(1).optional(),
    /**
     * Buffered rounds: who still trained for an earlier round when the last one closed goes on with that, and may answer in this one,
     * except those named here.
     */
    buffered: z
      .strictObject({ dropped: z.array(z.strictObject({ clientId: z.string().min(1), reason: z.enum(['stale', 'overdue', 'left']) })) })
      .exactOptional(),
    /** Why learning rates or μ differ from before, for people (absent where they do not, and in ledgers of earlier releases). */
    reasons: z.array(z.string().max(500)).max(100).exactOptional(),
  }),
  z.strictObject({
    type: z.literal('update-accepted'),
    round,
    clientId: z.string(),
    update: blob,
    /** The change of the client's control variate, where the strategy asks for it. */
    control: blob.exactOptional(),
    numExamples: z.int().min(1),
    metrics,
    /** The round whose task it answers, where that is an earlier one. */
    began: z.int().min(1).exactOptional(),
    /** From when its task was given out until now, by the server's clock, where the run plans by it (`localStepsBySpeed`). */
    seconds: z.number().min(0).exactOptional(),
  }),
  z.strictObject({
    type: z.literal('update-refused'),
    round,
    clientId: z.string(),
    code: z.string(),
    message: z.string(),
  }),
  /** A client said goodbye while its task was open: the round does not wait for it any longer. */
  z.strictObject({ type: z.literal('participant-left'), round, clientId: z.string() }),
  /** It is back before the round closed, and has its task again. */
  z.strictObject({ type: z.literal('participant-returned'), round, clientId: z.string() }),
  /** Secure aggregation, before training: a client made its keys for the round known. */
  z.strictObject({ type: z.literal('secure-keys-advertised'), round, clientId: z.string(), keys: secureKeysSchema }),
  /** It dealt sealed shares of its secrets to its neighbours. */
  z.strictObject({ type: z.literal('secure-shares-dealt'), round, clientId: z.string(), shares: secureSharesSchema }),
  /** After training: it gave what takes masks off the sum; `null`: it refused. */
  z.strictObject({ type: z.literal('secure-unmasked'), round, clientId: z.string(), answer: secureUnmaskSchema.nullable() }),
  /**
   * The next stage of secure aggregation begins with these clients; the others have dropped out. `graph`, with the stage of shares: from
   * which, by `neighbourGraph`, follows who shares masks with whom.
   */
  z.strictObject({
    type: z.literal('secure-stage-opened'),
    round,
    stage: z.enum(['shares', 'training', 'unmask']),
    members: z.array(z.string().min(1)),
    graph: z.strictObject({ seed: z.string().min(1), degree: z.int().min(2) }).exactOptional(),
  }),
  /** `enough`: as many updates as were wanted; who has not answered by then was not needed, and has not failed. */
  z.strictObject({ type: z.literal('round-closed'), round, reason: z.enum(['all-in', 'enough', 'deadline']) }),
  z.strictObject({
    type: z.literal('round-aggregated'),
    round,
    parameters: blob,
    /** What clients get of them, where the run's `broadcastEncoding` is not float32. */
    published: publishedParametersSchema.exactOptional(),
    strategyState: blob.nullable(),
    strategyScalars: json,
    metrics,
    /** Updates the strategy left out, with why. */
    excluded: z.array(z.strictObject({ clientId: z.string(), code: z.string(), reason: z.string() })),
    /** Cosine of the angle between each client's update and the mean of all updates, on a sample of their values; absent in private runs. */
    cosines: z.record(z.string(), z.number().min(-1).max(1)).exactOptional(),
  }),
  z.strictObject({ type: z.literal('round-evaluated'), round, evaluation: evaluationSchema.nullable() }),
  z.strictObject({ type: z.literal('round-checkpointed'), round, path: z.string().nullable() }),
  z.strictObject({ type: z.literal('round-skipped'), round, reason: z.string() }),
  /**
   * `checkpoint`: of the last round that counted, where the last of all was skipped. `early`: why the run is complete before its last
   * round (a spent privacy budget, its stop rule).
   */
  z.strictObject({ type: z.literal('run-finished'), checkpoint: z.string().optional(), early: z.string().exactOptional() }),
  z.strictObject({ type: z.literal('run-failed'), code: z.string(), message: z.string() }),
  z.strictObject({ type: z.literal('run-stopped'), reason: z.string() }),
]);
export type RunEvent = z.infer<typeof runEventSchema>;
