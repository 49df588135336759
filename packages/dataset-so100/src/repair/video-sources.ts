import { DatasetError } from '../errors.ts';
import type { EpisodeRecord } from '../format/episodes.ts';
import type { Recording } from '../read/recording.ts';
import { checkVideo, type VideoFile } from '../read/videos.ts';
import type { Mp4Summary } from '../video/mp4.ts';

/** A camera's frames of one episode in a file that is there. */
export interface VideoSource {
  readonly path: string;
  /** Seconds into the file at which the episode begins. */
  readonly from: number;
  /** Frames from there to the next episode, or to the end of the file. */
  readonly frames: number;
  /** What the file's tables say. */
  readonly summary: Mp4Summary;
}

/** The video files of a dataset, each looked at once. */
export class VideoSources {
  readonly #recording: Recording;
  readonly #files = new Map<string, Promise<VideoFile>>();
  /** By file: where its episodes begin, ascending. */
  readonly #starts = new Map<string, number[]>();

  constructor(recording: Recording) {
    this.#recording = recording;
    for (const { videos } of recording.episodes) {
      for (const { file, fromTimestamp } of videos.values()) {
        this.#starts.set(file, [...(this.#starts.get(file) ?? []), fromTimestamp].sort((a, b) => a - b));
      }
    }
  }

  /**
   * The frame rate that all videos agree on and `info.json` does not; else that of `info.json`. Files that cannot be read
   * have no say.
   */
  async frameRate(): Promise<number> {
    const { fps } = this.#recording.info;
    let agreed: number | null = null;
    for (const file of this.#starts.keys()) {
      const rate = await this.#file(file).then(({ summary }) => summary.fps, ignoreDamage);
      if (rate === null) continue;
      const whole = Math.round(rate);
      if (whole < 1 || Math.abs(rate / whole - 1) > 1e-3 || (agreed !== null && agreed !== whole)) return fps;
      agreed = whole;
    }
    return agreed ?? fps;
  }

  /** @throws DatasetError naming the file, where it is missing, damaged, or of an unknown codec */
  async of({ videos }: EpisodeRecord, camera: string, fps: number): Promise<VideoSource> {
    const span = videos.get(camera)!;
    const { path, summary } = await this.#file(span.file);
    const next = this.#starts.get(span.file)!.find((start) => start > span.fromTimestamp);
    const end = summary.frameCount === 0 ? Infinity : summary.frameCount;
    const frames = Math.min(end, next === undefined ? Infinity : Math.round(next * fps)) - Math.round(span.fromTimestamp * fps);
    return { path, from: span.fromTimestamp, frames: Math.max(0, frames), summary };
  }

  #file(file: string): Promise<VideoFile> {
    let found = this.#files.get(file);
    if (found === undefined) {
      found = checkVideo(this.#recording, file, { camera: '', frames: 0, episode: 0 });
      found.catch(() => undefined);
      this.#files.set(file, found);
    }
    return found;
  }
}

function ignoreDamage(error: unknown): null {
  if (error instanceof DatasetError) return null;
  throw error;
}
