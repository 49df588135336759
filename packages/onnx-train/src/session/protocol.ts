/** What sessions and the thread that runs them say to each other. */
import type { SessionErrorCode } from '../errors.ts';
import type { ValueType } from '../graph/value.ts';
import type { OrtSessionOptions } from './ort-session.ts';
import type { Tensors } from './tensor.ts';

/** What a session is asked to do; `open` comes first, `close` last. */
export type SessionRequest =
  | { readonly kind: 'open'; readonly model: string | Uint8Array; readonly options: OrtSessionOptions }
  | { readonly kind: 'run'; readonly feeds: Tensors; readonly outputs: readonly string[]; readonly into: Tensors }
  | { readonly kind: 'setState'; readonly tensors: Tensors }
  | { readonly kind: 'getState'; readonly names: readonly string[] }
  | { readonly kind: 'close' };

/** How a request went. */
export type SessionReply =
  | { readonly kind: 'opened'; readonly inputs: ReadonlyMap<string, ValueType>; readonly outputs: ReadonlyMap<string, ValueType> }
  | { readonly kind: 'done'; readonly tensors: Tensors }
  | {
      readonly kind: 'error';
      readonly code: SessionErrorCode;
      readonly message: string;
      readonly hint: string | undefined;
    };

/** A thread may hold several sessions; messages name theirs. `end` asks the thread itself to end. */
export type ThreadRequest = { readonly session: number; readonly request: SessionRequest } | 'end';
export interface ThreadReply {
  readonly session: number;
  readonly reply: SessionReply;
}
