import type { DecodedFrame } from './node-av-reader.ts';

/** What a decoding thread is started with. */
export interface WorkerOptions {
  /** Files it keeps open; each costs about 3 MB. */
  readonly maxReaders: number;
}

/** One frame for a decoding thread to decode; see `FrameRequest`. */
export interface DecodeTask {
  readonly file: string;
  readonly timestamp: number;
  readonly tolerance: number;
}

/** A thread's answer to one task. */
export type DecodeReply = { readonly frame: DecodedFrame } | { readonly error: string };
