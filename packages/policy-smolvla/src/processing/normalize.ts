import type { Normalizer } from '@zk0/core';
import type { SmolVlaConfig } from '../config/policy-config.ts';
import { PolicyError } from '../errors.ts';
import type { PolicyFeatures } from '../policy.ts';

/** Added to a standard deviation before dividing by it, as LeRobot's normaliser step does. */
const EPSILON = 1e-8;

/** Normalises states and actions into the model's padded vectors, and predicted actions back. */
export class VectorProcessor {
  readonly #state: Affine;
  readonly #action: Affine;
  readonly #maxStateDim: number;
  readonly #maxActionDim: number;

  /** @throws PolicyError FEATURES_MISMATCH when sizes do not fit the policy or each other. */
  constructor(config: SmolVlaConfig, features: PolicyFeatures, normalizer: Normalizer) {
    this.#maxStateDim = config.model.maxStateDim;
    this.#maxActionDim = config.model.maxActionDim;
    this.#state = affine('state', features.stateSize, config.model.maxStateDim, normalizer.state, config.normalization.state);
    this.#action = affine('action', features.actionSize, config.model.maxActionDim, normalizer.action, config.normalization.action);
  }

  /** Writes `maxStateDim` values: the normalised state, then zeros. */
  state(raw: Float32Array, into: Float32Array): void {
    into.fill(0, 0, this.#maxStateDim);
    normalizeRow(this.#state, raw, 0, into, 0);
  }

  /** Writes `length × maxActionDim` values: normalised actions, each followed by zeros. */
  actions(raw: Float32Array, length: number, into: Float32Array): void {
    const size = this.#action.mean.length;
    into.fill(0, 0, length * this.#maxActionDim);
    for (let step = 0; step < length; step++) normalizeRow(this.#action, raw, step * size, into, step * this.#maxActionDim);
  }

  /** The real axes of `length × maxActionDim` predicted values, in the recordings' units. */
  unnormalizeActions(predicted: Float32Array, length: number): Float32Array {
    const { mean, std } = this.#action;
    const size = mean.length;
    const result = new Float32Array(length * size);
    for (let step = 0; step < length; step++) {
      for (let axis = 0; axis < size; axis++) {
        result[step * size + axis] = Math.fround(predicted[step * this.#maxActionDim + axis]! * std[axis]!) + mean[axis]!;
      }
    }
    return result;
  }
}

/** float32 copies of the statistics: LeRobot computes in float32. */
interface Affine {
  readonly mean: Float32Array;
  readonly std: Float32Array;
  readonly divisor: Float32Array;
}

function affine(
  name: 'state' | 'action',
  size: number,
  maximum: number,
  statistics: Normalizer['state'],
  mode: SmolVlaConfig['normalization']['state'],
): Affine {
  if (size > maximum) {
    throw new PolicyError('FEATURES_MISMATCH', `the robot has ${size} ${name} values, the policy takes at most ${maximum}`, {
      hint: `Use a policy with a larger max_${name}_dim.`,
    });
  }
  if (mode === 'IDENTITY') {
    return { mean: new Float32Array(size), std: new Float32Array(size).fill(1), divisor: new Float32Array(size).fill(1) };
  }
  const { mean, std } = statistics;
  if (mean.length !== size || std.length !== size) {
    throw new PolicyError(
      'FEATURES_MISMATCH',
      `the normaliser has ${mean.length} means and ${std.length} deviations for ${size} ${name} values`,
      { hint: 'Use the statistics of recordings of the same robot.' },
    );
  }
  const bad = std.findIndex((value, axis) => !(value > 0) || !Number.isFinite(value) || !Number.isFinite(mean[axis]!));
  if (bad >= 0) {
    throw new PolicyError('FEATURES_MISMATCH', `the normaliser's ${name} axis ${bad} has mean ${mean[bad]!}, std ${std[bad]!}`, {
      hint: 'Compute the statistics again from recordings in which the axis moves.',
    });
  }
  const narrow = Float32Array.from(std);
  return { mean: Float32Array.from(mean), std: narrow, divisor: narrow.map((value) => value + EPSILON) };
}

function normalizeRow({ mean, divisor }: Affine, raw: Float32Array, from: number, into: Float32Array, to: number): void {
  for (let axis = 0; axis < mean.length; axis++) {
    into[to + axis] = Math.fround(raw[from + axis]! - mean[axis]!) / divisor[axis]!;
  }
}
