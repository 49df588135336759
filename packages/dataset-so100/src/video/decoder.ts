/** One frame to decode. */
export interface FrameRequest {
  /** Path of the video file. */
  readonly file: string;
  /** Presentation time in seconds. */
  readonly timestamp: number;
  /** How far the frame found may be from `timestamp`, in seconds. */
  readonly tolerance: number;
  /** Memory the frame may be put into where it fits exactly. It is given up: use only the frame that comes back. */
  readonly into?: ArrayBuffer;
}

/** A decoded frame: RGB, row-major, `height × width × 3` bytes. */
export interface VideoFrame {
  /** The frame's own presentation time in seconds. */
  readonly timestamp: number;
  readonly height: number;
  readonly width: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

/** Names of the ways to decode video, the one preferred first. */
export const VIDEO_BACKENDS = ['node-av', 'ffmpeg', 'wasm'] as const;
export type VideoBackend = (typeof VIDEO_BACKENDS)[number];

/**
 * Random access to the frames of one video file. Every implementation returns the same bytes: those that LeRobot's PyAV
 * reader gets from swscale on x86. That uses the BT.601 matrix whatever the file says, and full range only where FFmpeg
 * has a pixel format for it (`yuvj420p`: H.264 and HEVC).
 */
export interface FrameReader {
  /**
   * The frame nearest to a time.
   *
   * @throws Error when none lies within `tolerance`, or the data cannot be decoded; the reader is then of no more use
   */
  frameAt(timestamp: number, tolerance: number, into?: ArrayBuffer): VideoFrame | Promise<VideoFrame>;
  close(): void;
}

/** Random access to the frames of any number of video files. */
export interface VideoDecoder {
  readonly backend: VideoBackend;
  /**
   * Decodes the frame nearest to the time asked for. Requests may be made concurrently.
   *
   * @throws DatasetError `DATASET_FRAME` when there is none within the tolerance or it cannot be decoded,
   *   `DATASET_NO_DECODER` when the back end cannot run here, `DATASET_CLOSED` after `close`
   */
  frame(request: FrameRequest): Promise<VideoFrame>;
  /** Ends threads and processes; pending requests fail with `DATASET_CLOSED`. */
  close(): Promise<void>;
}

/** Memory for the RGB bytes of a frame: `into` where it fits. */
export function frameBuffer(width: number, height: number, into: ArrayBuffer | undefined): Uint8Array<ArrayBuffer> {
  const bytes = width * height * 3;
  return into?.byteLength === bytes ? new Uint8Array(into) : new Uint8Array(bytes);
}
