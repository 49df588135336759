import { InvalidArgumentError, Zk0Error } from '@zk0/core/errors';
import type { OptimizerArena } from './optimizer-arena.ts';
import { cutIntoPieces, work, type OptimizerMemory, type Piece, type Task } from './tasks.ts';
import { ThreadPool } from './thread-pool.ts';
import {
  adamWCoefficients,
  clipFactor,
  type AdamWSettings,
  type OptimizerSettings,
  type SgdSettings,
} from './update-rules.ts';

/** A gradient has NaN or infinity in it; the weights were left as they were. */
export class GradientError extends Zk0Error {
  declare readonly code: 'GRADIENT_NOT_FINITE';
  readonly tensor: string;

  constructor(tensor: string, step: number) {
    super('GRADIENT_NOT_FINITE', `the gradient of ${tensor} is not finite in optimiser step ${step}`, {
      hint: 'Lower the learning rate, and look for bad values in the data.',
    });
    this.tensor = tensor;
  }
}

/** What an optimiser works on. Names and lengths of all records must agree. */
export interface OptimizerOptions {
  /** AdamW, or SGD; PyTorch's defaults for what is left out. */
  readonly rule:
    | ({ readonly kind: 'adamw' } & Partial<AdamWSettings>)
    | ({ readonly kind: 'sgd' } & Partial<SgdSettings>);
  /** Updated in place. */
  readonly weights: Readonly<Record<string, Float32Array>>;
  /** Where the gradients will lie when a step begins. A proximal term's gradient and a correction are added to them in place. */
  readonly gradients: Readonly<Record<string, Float32Array>>;
  /** Largest global norm of all gradients together; larger ones are scaled down to it. None by default. */
  readonly maxGradientNorm?: number;
  /** FedProx: adds `mu/2 · ‖w − reference‖²` to the loss. */
  readonly proximal?: { readonly mu: number; readonly reference: Readonly<Record<string, Float32Array>> };
  /**
   * SCAFFOLD: a constant, `c − c_k`, that is added to every gradient, and what its next control variate is made of is kept in
   * {@link Optimizer.gradientSums}. It is added before clipping, for it is part of the gradient: what is clipped is the estimate of
   * the federation's gradient, and a correction on top of a clipped one would outweigh it.
   */
  readonly correction?: Readonly<Record<string, Float32Array>>;
  /** Moments to go on from, by tensor; they are changed in place. Zeros by default. */
  readonly moments?: OptimizerMoments;
  /** Where weights, gradients and moments were all made, so that they need not be copied at every step. */
  readonly arena?: OptimizerArena;
  /**
   * More than one thread needs all memory to be shared (`sharedTensor`), and keeps this one free. The results do not
   * depend on the number.
   * @default 1: computed in the calling thread
   */
  readonly threads?: number;
}

/** What an optimiser remembers of earlier steps, by tensor; empty where the rule keeps none. */
export interface OptimizerMoments {
  /** AdamW's first moments or SGD's velocities. */
  readonly first: Readonly<Record<string, Float32Array>>;
  /** AdamW's second moments. */
  readonly second: Readonly<Record<string, Float32Array>>;
}

/** What a step found out. */
export interface OptimizerStep {
  /** Global L2 norm of the gradients (with the proximal term's and the correction) before clipping. */
  readonly gradientNorm: number;
  /** `mu/2 · ‖w − reference‖²` before the step; 0 without a proximal term. */
  readonly proximalLoss: number;
}

/** SGD or AdamW over float32 arrays. */
export class Optimizer {
  /** Steps taken. Set it, with the moments, to go on from saved ones. */
  stepsTaken = 0;
  /** AdamW's first moments or SGD's velocities, by tensor; empty where the rule keeps none. */
  readonly firstMoments: Readonly<Record<string, Float32Array>>;
  /** AdamW's second moments, by tensor; empty for SGD. */
  readonly secondMoments: Readonly<Record<string, Float32Array>>;
  /**
   * `Σ lrᵢ·gᵢ` of the steps taken, by tensor: gradients with the proximal term's, before correction and clipping. Empty without a
   * correction.
   */
  readonly gradientSums: Readonly<Record<string, Float32Array>>;
  readonly #names: readonly string[];
  readonly #settings: OptimizerSettings;
  readonly #memory: OptimizerMemory;
  readonly #pieces: readonly Piece[];
  readonly #maxNorm: number;
  readonly #mu: number;
  readonly #pool: ThreadPool | undefined;

  constructor(options: OptimizerOptions) {
    const { weights, gradients, proximal, correction, moments, arena, maxGradientNorm = Infinity, threads = 1 } = options;
    this.#names = Object.keys(weights);
    this.#settings = completeSettings(options.rule);
    this.#maxNorm = maxGradientNorm;
    this.#mu = proximal?.mu ?? 0;
    const lengths = this.#names.map((name) => weights[name]!.length);
    this.#pieces = cutIntoPieces(lengths);
    const zeros = (): Record<string, Float32Array> =>
      Object.fromEntries(this.#names.map((name) => [name, new Float32Array(shared(4 * weights[name]!.length))]));
    this.firstMoments = this.#settings.kind === 'adamw' || this.#settings.momentum !== 0 ? (moments?.first ?? zeros()) : {};
    this.secondMoments = this.#settings.kind === 'adamw' ? (moments?.second ?? zeros()) : {};
    this.gradientSums = correction === undefined ? {} : zeros();
    this.#memory = {
      weights: this.#list('weights', weights, lengths),
      gradients: this.#list('gradients', gradients, lengths),
      first: isEmpty(this.firstMoments) ? [] : this.#list('first moments', this.firstMoments, lengths),
      second: isEmpty(this.secondMoments) ? [] : this.#list('second moments', this.secondMoments, lengths),
      arena: arena?.memory,
      reference: proximal === undefined ? [] : this.#list('reference', proximal.reference, lengths),
      correction: correction === undefined ? [] : this.#list('correction', correction, lengths),
      gradientSums: Object.values(this.gradientSums),
      squares: new Float64Array(shared(8 * this.#pieces.length)),
      distances: new Float64Array(shared(8 * this.#pieces.length)),
      next: new Int32Array(shared(4)),
    };
    if (arena !== undefined) {
      const { weights: w, gradients: g, first, second } = this.#memory;
      if (![...w, ...g, ...first, ...second].every((array) => arena.holds(array))) {
        throw new InvalidArgumentError('weights, gradients or moments lie outside the arena that the optimiser was given', {
          hint: 'Make all of them, moments included, with the tensor method of the arena.',
        });
      }
    }
    if (!Number.isInteger(threads) || threads < 1) throw new InvalidArgumentError(`an optimiser of ${threads} threads`);
    if (threads > 1) {
      const { weights: w, gradients: g, first, second, reference, correction: c } = this.#memory;
      if (![...w, ...g, ...first, ...second, ...reference, ...c].every(({ buffer }) => buffer instanceof SharedArrayBuffer)) {
        throw new InvalidArgumentError('an optimiser of several threads needs weights and gradients in shared memory', {
          hint: 'Allocate them with sharedTensor, or use one thread.',
        });
      }
      this.#pool = new ThreadPool('optimizer-worker', threads, { memory: this.#memory, settings: this.#settings });
    }
  }

  /**
   * One update of all weights from the gradients as they are now.
   *
   * @throws GradientError before weights and moments are changed, naming the tensor.
   */
  async step(learningRate: number): Promise<OptimizerStep> {
    const step = this.stepsTaken + 1;
    await this.#do({ kind: 'measure', mu: this.#mu, learningRate });
    let squares = 0;
    let distances = 0;
    this.#pieces.forEach((piece, index) => {
      squares += this.#memory.squares[index]!;
      distances += this.#memory.distances[index]!;
      if (!Number.isFinite(squares)) throw new GradientError(this.#names[piece.tensor]!, step);
    });
    const gradientNorm = Math.sqrt(squares);
    const coefficients = adamWCoefficients(
      this.#settings.kind === 'adamw' ? this.#settings : { betas: [0, 0], weightDecay: 0 },
      learningRate,
      step,
    );
    await this.#do({ kind: 'update', clip: clipFactor(gradientNorm, this.#maxNorm), learningRate, coefficients, step });
    this.stepsTaken = step;
    return { gradientNorm, proximalLoss: (this.#mu / 2) * distances };
  }

  /** Ends the threads; the arrays stay as they are. */
  async close(): Promise<void> {
    await this.#pool?.close();
  }

  async #do(task: Task): Promise<void> {
    this.#memory.next[0] = 0;
    if (this.#pool === undefined) work(this.#memory, this.#settings, this.#pieces, task);
    else await this.#pool.broadcast(task);
  }

  #list(what: string, arrays: Readonly<Record<string, Float32Array>>, lengths: readonly number[]): Float32Array[] {
    return this.#names.map((name, index) => {
      const array = arrays[name];
      if (array === undefined || array.length !== lengths[index]) {
        throw new InvalidArgumentError(`${what}: ${name} has ${array?.length ?? 0} elements for ${lengths[index]!} weights`);
      }
      return array;
    });
  }
}

function isEmpty(arrays: Readonly<Record<string, Float32Array>>): boolean {
  return Object.keys(arrays).length === 0;
}

function completeSettings(rule: OptimizerOptions['rule']): OptimizerSettings {
  if (rule.kind === 'sgd') return { momentum: 0, weightDecay: 0, ...rule };
  return { betas: [0.9, 0.999], epsilon: 1e-8, weightDecay: 0.01, ...rule };
}

function shared(bytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(bytes);
}
