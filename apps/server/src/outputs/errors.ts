import { Zk0Error, type Zk0ErrorOptions } from '@zk0/core';

/** `OUTPUTS_CORRUPT`: a file of an earlier part of the run cannot be read back, so the run cannot go on in this folder. */
export class OutputsError extends Zk0Error {
  declare readonly code: 'OUTPUTS_CORRUPT';

  constructor(message: string, options: Zk0ErrorOptions = {}) {
    super('OUTPUTS_CORRUPT', message, options);
  }
}
