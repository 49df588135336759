/** What a session and the thread that runs it say to each other. */
import type { SessionErrorCode } from '../errors.ts';
import type { ValueType } from '../graph/value.ts';
import type { OrtSessionOptions } from './ort-session.ts';
import type { Tensors } from './tensor.ts';

/** Handed to the thread when it starts. */
export interface WorkerStart {
  readonly model: string | Uint8Array;
  readonly options: OrtSessionOptions;
}

export type WorkerRequest =
  | { readonly kind: 'run'; readonly feeds: Tensors; readonly outputs: readonly string[]; readonly into: Tensors }
  | { readonly kind: 'close' };

export type WorkerReply =
  | { readonly kind: 'ready'; readonly inputs: ReadonlyMap<string, ValueType>; readonly outputs: ReadonlyMap<string, ValueType> }
  | { readonly kind: 'result'; readonly tensors: Tensors }
  | {
      readonly kind: 'error';
      readonly code: SessionErrorCode;
      readonly message: string;
      readonly hint: string | undefined;
    };
