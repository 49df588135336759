import { Zk0Error, type Parameters, type Zk0ErrorOptions } from '@zk0/core';

/**
 * Stable codes of everything that can be wrong with a policy or with what is fed to it.
 *
 * - `POLICY_NOT_FOUND`: no such preset, directory or file
 * - `POLICY_CONFIG_INVALID`: config.json is not JSON, not a SmolVLA configuration, or contradicts itself
 * - `POLICY_UNSUPPORTED`: a valid configuration that this implementation does not run; the field is named
 * - `POLICY_WEIGHTS_MISSING`: a policy directory without model.safetensors, or trained weights that name no base
 * - `POLICY_TENSORS_MISMATCH`: missing, extra or misshapen tensors, all listed
 * - `POLICY_BASE_MISMATCH`: trained weights that belong to another frozen base
 * - `TOKENIZER_INVALID`: tokenizer files that are missing, damaged, or lack the special tokens
 * - `CAMERAS_MISMATCH`: the dataset's cameras are not those the policy takes; both sides are listed
 * - `STATISTICS_AMBIGUOUS`: normalisation statistics of several data sets, or under names that are not understood; all listed
 * - `FEATURES_MISMATCH`: state, action or normaliser sizes that do not fit the policy
 * - `NOT_FINITE`: NaN or infinity in data, weights, loss or gradients; step and tensor are named
 * - `CORRUPT_FRAMES`: more frames of a dataset cannot be decoded than may be
 * - `CACHE_FULL`: the disk or the byte budget has no room for the cache
 * - `CACHE_UNUSABLE`: the cache's files cannot be read or written
 */
export type PolicyErrorCode =
  | 'POLICY_NOT_FOUND'
  | 'POLICY_CONFIG_INVALID'
  | 'POLICY_UNSUPPORTED'
  | 'POLICY_WEIGHTS_MISSING'
  | 'POLICY_TENSORS_MISMATCH'
  | 'POLICY_BASE_MISMATCH'
  | 'TOKENIZER_INVALID'
  | 'CAMERAS_MISMATCH'
  | 'STATISTICS_AMBIGUOUS'
  | 'FEATURES_MISMATCH'
  | 'NOT_FINITE'
  | 'CORRUPT_FRAMES'
  | 'CACHE_FULL'
  | 'CACHE_UNUSABLE';

/** Something is wrong with a policy, or with what it was given; see {@link PolicyErrorCode}. */
export class PolicyError extends Zk0Error {
  declare readonly code: PolicyErrorCode;

  constructor(code: PolicyErrorCode, message: string, options: Zk0ErrorOptions = {}) {
    super(code, message, options);
  }
}

/** Training met NaN or infinity; `lastGood` are the weights before the step, which were not changed by it. */
export class NotFiniteError extends PolicyError {
  declare readonly code: 'NOT_FINITE';
  /** Counted from 0. */
  readonly step: number;
  readonly tensor: string;
  readonly lastGood: Parameters;

  constructor(step: number, tensor: string, lastGood: Parameters) {
    super('NOT_FINITE', `step ${step}: ${tensor} is not finite`, {
      hint: 'Lower the learning rate, and validate the dataset for outliers.',
    });
    this.step = step;
    this.tensor = tensor;
    this.lastGood = lastGood;
  }
}
