/** An optimiser's step as independent pieces of work, so that any number of threads computes the same bits. */
import { sgdUpdate, type AdamWCoefficients, type OptimizerSettings } from './update-rules.ts';
import { addProximal, adamWUpdate, correctGradients, sumOfSquares } from './vector-rules.ts';
import type { WasmMemory } from './wasm.ts';

/** Elements in one piece: small enough to balance threads, large enough that handing it out costs nothing. */
export const PIECE = 1 << 18;

/** The memory an optimiser works in; index `i` of every list belongs to tensor `i`. */
export interface OptimizerMemory {
  readonly weights: readonly Float32Array[];
  readonly gradients: readonly Float32Array[];
  /** AdamW's first moment, or SGD's velocity; empty where there is none. */
  readonly first: readonly Float32Array[];
  /** AdamW's second moment; empty for SGD. */
  readonly second: readonly Float32Array[];
  /** Where weights, gradients and moments all lie; undefined when they lie anywhere. */
  readonly arena: WasmMemory | undefined;
  /** What the proximal term pulls towards; empty where there is none. */
  readonly reference: readonly Float32Array[];
  /** What is added to the gradients, and the sums of rate times gradient without it; empty where nothing is. */
  readonly correction: readonly Float32Array[];
  readonly gradientSums: readonly Float32Array[];
  /** [pieces]: sums of squared gradients. */
  readonly squares: Float64Array;
  /** [pieces]: sums of squared distances to the reference. */
  readonly distances: Float64Array;
  /** [1]: the next piece to take. */
  readonly next: Int32Array;
}

/** A range of a tensor. */
export interface Piece {
  readonly tensor: number;
  readonly begin: number;
  readonly end: number;
}

/** The first half of a step needs all gradients before the second can begin. */
export type Task =
  | { readonly kind: 'measure'; readonly mu: number; readonly learningRate: number }
  | {
      readonly kind: 'update';
      readonly clip: number;
      readonly learningRate: number;
      readonly coefficients: AdamWCoefficients;
      readonly step: number;
    };

/** The pieces of tensors of these lengths, in order. */
export function cutIntoPieces(lengths: readonly number[]): Piece[] {
  return lengths.flatMap((length, tensor) =>
    Array.from({ length: Math.ceil(length / PIECE) }, (_, index) => ({
      tensor,
      begin: index * PIECE,
      end: Math.min(length, (index + 1) * PIECE),
    })),
  );
}

/** Takes pieces until none are left. */
export function work(memory: OptimizerMemory, settings: OptimizerSettings, pieces: readonly Piece[], task: Task): void {
  for (let index = Atomics.add(memory.next, 0, 1); index < pieces.length; index = Atomics.add(memory.next, 0, 1)) {
    const { tensor, begin, end } = pieces[index]!;
    const [w, g] = [memory.weights[tensor]!, memory.gradients[tensor]!];
    if (task.kind === 'measure') {
      const reference = memory.reference[tensor];
      if (reference !== undefined) memory.distances[index] = addProximal(g, w, reference, task.mu, begin, end);
      const correction = memory.correction[tensor];
      memory.squares[index] =
        correction === undefined
          ? sumOfSquares(g, begin, end, memory.arena)
          : correctGradients(g, correction, memory.gradientSums[tensor]!, task.learningRate, begin, end);
    } else if (settings.kind === 'adamw') {
      const [m, v] = [memory.first[tensor]!, memory.second[tensor]!];
      adamWUpdate(w, g, m, v, settings, task.coefficients, task.clip, begin, end, memory.arena);
    } else {
      const velocity = memory.first[tensor];
      sgdUpdate(w, g, velocity, settings, task.learningRate, task.step === 1, task.clip, begin, end);
    }
  }
}
