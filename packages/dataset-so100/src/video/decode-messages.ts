import type { FrameRequest, VideoBackend, VideoFrame } from './decoder.ts';
import type { FfmpegCommand } from './ffmpeg-command.ts';

/** What a decoding thread is started with. */
export interface WorkerOptions {
  readonly backend: VideoBackend;
  /** Files it keeps open. */
  readonly maxReaders: number;
  /** Only that back end needs it. */
  readonly ffmpeg: FfmpegCommand | null;
}

/** One frame for a decoding thread to decode. */
export type DecodeTask = FrameRequest;

/** A thread's answer to one task. */
export type DecodeReply = { readonly frame: VideoFrame } | { readonly error: string };
