import { Zk0Error, type Zk0ErrorOptions } from '@zk0/core';

/** What can be wrong with an encoded update. */
export type UpdateCodecErrorCode =
  /** It is in another encoding or version than was agreed on, or is a difference to other parameters. */
  | 'ENCODING_MISMATCH'
  /** It does not hold what its encoding asks for: tensors, sizes, scales, or compressed bytes are wrong. */
  | 'ENCODING_INVALID'
  /** A value to be encoded is not finite, or too large for the encoding. */
  | 'ENCODING_NON_FINITE';

/** An update that cannot be encoded or decoded. */
export class UpdateCodecError extends Zk0Error {
  declare readonly code: UpdateCodecErrorCode;
  /** What is wrong, without where. */
  readonly problem: string;
  /** The tensor at fault, where one is. */
  readonly tensor: string | undefined;

  constructor(code: UpdateCodecErrorCode, problem: string, options: Zk0ErrorOptions & { readonly tensor?: string } = {}) {
    super(code, options.tensor === undefined ? problem : `tensor ${options.tensor}: ${problem}`, options);
    this.problem = problem;
    this.tensor = options.tensor;
  }
}

/** Of an element of a tensor that cannot be encoded. */
export function nonFinite(tensor: string, index: number, encoding: string): UpdateCodecError {
  return new UpdateCodecError('ENCODING_NON_FINITE', `element ${index} is not finite, or too large for ${encoding}`, {
    tensor,
    hint: 'The training diverged: lower the learning rate.',
  });
}
