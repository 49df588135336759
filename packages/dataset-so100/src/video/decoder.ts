/** One frame to decode. */
export interface FrameRequest {
  /** Path of the video file. */
  readonly file: string;
  /** Presentation time in seconds. */
  readonly timestamp: number;
  /** How far the frame found may be from `timestamp`, in seconds. */
  readonly tolerance: number;
}

/** A decoded frame: RGB, row-major, `height × width × 3` bytes. */
export interface VideoFrame {
  /** The frame's own presentation time in seconds. */
  readonly timestamp: number;
  readonly height: number;
  readonly width: number;
  readonly data: Uint8Array;
}

/** Names of the ways to decode video. */
export type VideoBackend = 'node-av' | 'ffmpeg';

/**
 * Random access to the frames of video files. Every implementation returns the same bytes: those of
 * `ffmpeg -pix_fmt rgb24`, which are also what LeRobot's PyAV reader returns.
 */
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
