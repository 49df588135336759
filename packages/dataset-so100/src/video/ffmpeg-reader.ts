import { MAX_IMAGE_SIDE } from '../limits.ts';
import { frameBuffer, type FrameReader, type VideoFrame } from './decoder.ts';
import type { FfmpegCommand } from './ffmpeg-command.ts';
import { FfmpegRun } from './ffmpeg-run.ts';
import { readMp4Summary, type Mp4Summary } from './mp4.ts';

/** A frame this close to the time asked for is taken without looking at the next, in seconds. */
const EXACT = 1e-4;

/** Targets at most this far ahead are reached by decoding on: in the time a process takes to start, about 2 s are decoded. */
const FORWARD_SECONDS = 2;

/** Starts per frame, each twice as far back as the one before: enough to reach the start of any file. */
const MAX_STARTS = 24;

/**
 * Random access to one video file through the `ffmpeg` command. A process is started where a frame is wanted and kept,
 * so that frames asked for in order cost no more than decoding them; a jump costs about 0.1 s.
 */
export class FfmpegReader implements FrameReader {
  readonly #ffmpeg: FfmpegCommand;
  readonly #file: string;
  readonly #summary: Mp4Summary;
  /** When the first picture is shown, in seconds: taken off every time. */
  #startTime = 0;
  #run: FfmpegRun | null = null;
  /** The last two frames that the run gave; the next goes into the memory of the older one. */
  #frames: { readonly newer: VideoFrame | null; readonly older: VideoFrame | null } = { newer: null, older: null };

  private constructor(ffmpeg: FfmpegCommand, file: string, summary: Mp4Summary) {
    this.#ffmpeg = ffmpeg;
    this.#file = file;
    this.#summary = summary;
  }

  static async open(ffmpeg: FfmpegCommand, file: string): Promise<FfmpegReader> {
    const summary = await readMp4Summary(file);
    const { width, height } = summary;
    if (width > MAX_IMAGE_SIDE || height > MAX_IMAGE_SIDE) throw new Error(`it claims frames of ${width}×${height} pixels`);
    const reader = new FfmpegReader(ffmpeg, file, summary);
    if (summary.startsLate) await reader.#findStart();
    return reader;
  }

  async frameAt(timestamp: number, tolerance: number, into?: ArrayBuffer): Promise<VideoFrame> {
    const ahead = timestamp - (this.#frames.newer?.timestamp ?? Infinity);
    if (ahead > -EXACT && ahead <= FORWARD_SECONDS) {
      const found = await this.#search(timestamp);
      if (found !== null && Math.abs(found.timestamp - timestamp) <= tolerance) return copyOf(found, into);
    }
    let back = Math.min(tolerance, 1);
    for (let start = 0; start < MAX_STARTS; start++) {
      const from = Math.max(0, timestamp - back);
      this.#start(from);
      const found = await this.#search(timestamp);
      if (found !== null && Math.abs(found.timestamp - timestamp) <= tolerance) return copyOf(found, into);
      // Nothing came, or the very first frame is late (an open group of pictures loses its leading ones): further back.
      const isLate = found === null || (found.timestamp > timestamp && this.#frames.older === null);
      if (!isLate || from === 0) {
        const nearest = found === null ? 'there are none' : `the nearest is at ${found.timestamp.toFixed(6)} s`;
        throw new Error(`no frame within ${tolerance} s of ${timestamp.toFixed(6)} s; ${nearest}`);
      }
      back = Math.max(0.1, back * 2);
    }
    throw new Error(`no frame at ${timestamp.toFixed(6)} s`);
  }

  close(): void {
    this.#run?.stop();
    this.#run = null;
    this.#frames = { newer: null, older: null };
  }

  /** Decodes the first picture: what tables say of edits is not always what FFmpeg makes of them. */
  async #findStart(): Promise<void> {
    this.#start(0);
    const first = await this.#run!.next();
    this.close();
    this.#startTime = first?.timestamp ?? 0;
  }

  #start(from: number): void {
    this.close();
    const { codec, width, height } = this.#summary;
    this.#run = new FfmpegRun({ ffmpeg: this.#ffmpeg, file: this.#file, codec, from: from + this.#startTime, width, height });
  }

  /** Reads on until the nearest frame to a time is known; null when the run gives none. */
  async #search(timestamp: number): Promise<VideoFrame | null> {
    for (;;) {
      const { newer, older } = this.#frames;
      if (newer !== null && newer.timestamp >= timestamp - EXACT) return nearest(newer, older, timestamp);
      const next = await this.#run!.next(older?.data.buffer);
      if (next === null) return newer;
      this.#frames = { newer: { ...next, timestamp: next.timestamp - this.#startTime }, older: newer };
    }
  }
}

function nearest(newer: VideoFrame, older: VideoFrame | null, timestamp: number): VideoFrame {
  const isOlder = older !== null && timestamp - older.timestamp < newer.timestamp - timestamp;
  return isOlder ? older : newer;
}

/** The reader goes on using its own memory. */
function copyOf(frame: VideoFrame, into: ArrayBuffer | undefined): VideoFrame {
  const data = frameBuffer(frame.width, frame.height, into);
  data.set(frame.data);
  return { ...frame, data };
}
