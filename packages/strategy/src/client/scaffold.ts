import { InvalidArgumentError, type TensorSource, type TensorSpec } from '@zk0/core';
import { linearCombination, withoutPrefix } from './linear-combination.ts';

/**
 * SCAFFOLD (Karimireddy et al., 2020) as a client computes it, tensor by tensor: nothing here holds a model.
 *
 * A control variate is what a client's gradients, c_k, or all clients' together, c, are on the whole. `null` is a variate of zeros,
 * as all are before the first round.
 */
export interface ControlVariates {
  /** c, which the server sends with the parameters. */
  readonly server: TensorSource | null;
  /** c_k, which the client keeps from round to round. */
  readonly client: TensorSource | null;
}

/** c in the server's state tensors, `control/<parameter>`. */
export function serverControl(state: TensorSource): TensorSource {
  return withoutPrefix(state, 'control/');
}

/**
 * What a client adds to every gradient, `c − c_k`: it goes where all clients together would.
 *
 * @param specs of the parameters.
 * @throws InvalidArgumentError naming a tensor that a variate lacks, or has in another shape or type.
 */
export function scaffoldCorrection({ server, client }: ControlVariates, specs: readonly TensorSpec[]): TensorSource {
  return linearCombination(specs, [
    [server, 1],
    [client, -1],
  ]);
}

/** A client's training by plain gradient descent. */
export interface ScaffoldTraining {
  /** w: the parameters it started from. */
  readonly global: TensorSource;
  /** w_k: where it arrived. */
  readonly local: TensorSource;
  /** K local steps… */
  readonly steps: number;
  /** …of this learning rate (the mean one, under a schedule). */
  readonly learningRate: number;
}

/**
 * The client's next control variate after plain gradient descent, `c_k⁺ = c_k − c + (w − w_k)/(K·lr)`, the paper's option II.
 *
 * It equals the mean of the client's own gradients (weighted by their learning rates), and that is what a client of another
 * optimiser takes instead: AdamW's steps are normalised, so the formula would give numbers of size 1 whatever the gradients are, and
 * they would outweigh the gradients that they are added to.
 *
 * @throws InvalidArgumentError when the steps or the learning rate are not positive.
 */
export function scaffoldControl({ server, client }: ControlVariates, { global, local, steps, learningRate }: ScaffoldTraining): TensorSource {
  if (!(steps > 0 && learningRate > 0)) {
    throw new InvalidArgumentError(`SCAFFOLD needs positive steps and learning rate, got ${steps} and ${learningRate}`);
  }
  const inverse = 1 / (steps * learningRate);
  return linearCombination(global.specs, [
    [client, 1],
    [server, -1],
    [global, inverse],
    [local, -inverse],
  ]);
}

/** What a client sends as the update's `control`: `c_k⁺ − c_k`. */
export function scaffoldChange(next: TensorSource, client: TensorSource | null): TensorSource {
  return linearCombination(next.specs, [
    [next, 1],
    [client, -1],
  ]);
}
