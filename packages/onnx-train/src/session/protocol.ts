/** What sessions and the thread that runs them say to each other. */
import type { SessionErrorCode } from '../errors.ts';
import type { ValueType } from '../graph/value.ts';
import type { OrtSessionOptions } from './ort-session.ts';
import type { SentTensors } from './shared-memory.ts';
import type { Tensors } from './tensor.ts';

/** What a session is asked to do; `open` comes first, `close` last. */
export type SessionRequest =
  | { readonly kind: 'open'; readonly model: string | Uint8Array; readonly options: OrtSessionOptions }
  | RunRequest<Tensors>
  | { readonly kind: 'getState'; readonly names: readonly string[] }
  | { readonly kind: 'close' };

/** A request that carries tensors: as a session gives them, or as its thread gets them. */
type RunRequest<T> =
  | { readonly kind: 'run'; readonly feeds: T; readonly outputs: readonly string[]; readonly into: T }
  | { readonly kind: 'setState'; readonly tensors: T };

/** A request on its way to the thread. */
export type SentRequest = Exclude<SessionRequest, RunRequest<Tensors>> | RunRequest<SentTensors>;

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

/**
 * A thread may hold several sessions; messages name theirs. `forget` names shared memory that is not used any more, `end` asks the
 * thread itself to end.
 */
export type ThreadRequest = { readonly session: number; readonly request: SentRequest } | { readonly forget: number } | 'end';
export interface ThreadReply {
  readonly session: number;
  readonly reply: SessionReply;
}
