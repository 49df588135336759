import { CancelledError, type KeptOptimizer, type Parameters, type WorkHooks } from '@zk0/core';
import type { Tensor, Tensors } from '@zk0/onnx-train';
import type { SmolVlaConfig } from '../config/policy-config.ts';
import type { PrefixSource } from '../model/graph-inputs.ts';
import type { GraphShape } from '../model/graph-shape.ts';
import type { ModelRuntime } from '../runtime/model-runtime.ts';
import type { FeedsToCome } from './model-inputs.ts';

/** One round of training, as whatever trains sees it. */
export interface TrainingRound {
  readonly config: SmolVlaConfig;
  readonly runtime: ModelRuntime;
  readonly shape: GraphShape;
  readonly source: PrefixSource;
  /** In how many equal parts each batch is computed. */
  readonly parts: number;
  /** What is optimised, as it is when training starts, which the proximal term pulls towards: trained weights, or factors. Not changed. */
  readonly start: Parameters;
  /** With LoRA: the weights that the factors belong to. Not changed. */
  readonly fixed?: Parameters;
  readonly steps: number;
  readonly learningRates: readonly number[];
  readonly proximalMu: number;
  /** What is added to every gradient, by its tensor, in shared memory. Not changed. */
  readonly correction: ReadonlyMap<string, Tensor> | undefined;
  /** Where AdamW goes on from, and what takes its moments after the last step; without it they begin at zero and are dropped. */
  readonly optimizer: KeptOptimizer | undefined;
  /** Reads everything but the weights that a step's batch feeds; computing what is left of it is the trainer's to start. */
  readonly feeds: (step: number) => Promise<FeedsToCome>;
  readonly signal: AbortSignal | undefined;
  /** Called after every step, in order. */
  readonly onStep: (step: number, report: StepReport) => void;
}

/** What training leaves. */
export interface Trained {
  readonly optimized: Parameters;
  /** `Σ lrᵢ·gᵢ` of the steps that were applied, before correction and clipping; with a correction. */
  readonly gradientSums?: Parameters;
}

/** How a step went. */
export interface StepReport {
  readonly policyLoss: number;
  readonly proximalLoss: number;
  /** Before clipping. */
  readonly gradientNorm: number;
  /** False where float16 gradients overflowed, so that the loss scale was halved and nothing else done. */
  readonly applied: boolean;
}

/**
 * Takes a round's steps and returns what is optimised after them, and the sums of their gradients where those are corrected.
 *
 * @throws NotFiniteError naming step and tensor, with what was optimised before that step; CancelledError.
 */
export type Trainer = (round: TrainingRound) => Promise<Trained>;

/**
 * The batches of a round in order. Decoding and reading for the next one overlap with what is done with this one, and
 * nothing still reads when the loop ends, however it ends.
 */
export async function* batchesAhead({ steps, feeds, signal }: TrainingRound): AsyncGenerator<{ step: number; batch: Tensors }> {
  let next: Promise<FeedsToCome> | undefined = feeds(0);
  try {
    for (let step = 0; step < steps; step++) {
      throwIfAborted(signal, 'training');
      const batch: Tensors = await (await next!)();
      next = step + 1 < steps ? feeds(step + 1) : undefined;
      next?.catch(() => undefined);
      yield { step, batch };
    }
  } finally {
    await next?.catch(() => undefined);
  }
}

export function throwIfAborted(signal: WorkHooks['signal'], what: string): void {
  if (signal?.aborted === true) throw new CancelledError(what, { cause: signal.reason });
}
