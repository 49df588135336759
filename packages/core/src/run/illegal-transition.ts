import { Zk0Error } from '../errors.ts';

/** An event that cannot happen in the state it met: a bug in the caller, or a damaged journal. */
export class IllegalTransitionError extends Zk0Error {
  declare readonly code: 'RUN_ILLEGAL_TRANSITION';

  constructor(message: string) {
    super('RUN_ILLEGAL_TRANSITION', message, {
      hint: 'The journal is damaged or of another version; start a new run from the last checkpoint.',
    });
  }
}
